//! codecs.
