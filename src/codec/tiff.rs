//! To come.
use crate::codec::Facts;
use crate::error::{Error, Result};
use crate::pixel::Image;
use std::io::{BufRead, Seek};
pub(super) fn facts(_source: &mut (impl BufRead + Seek), _pixels_max: u64) -> Result<Facts> {
    Err(Error::broken("tiff", "not supported yet"))
}
pub(super) fn decode(_bytes: &[u8], _facts: &Facts) -> Result<Image> {
    Err(Error::broken("tiff", "not supported yet"))
}
