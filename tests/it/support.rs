//! What the tests share: random numbers, pictures, the comparator.
