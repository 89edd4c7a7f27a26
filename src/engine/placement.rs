//! Which engine runs a job, by estimated cost: a pure function of a cost table.
