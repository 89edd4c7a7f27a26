//! Smart Imaging's decisions: facts in, [`Decision`] with reasons out; never renders.

use crate::catalog::Company;
use crate::error::Result;
use crate::plan::{Decision, Header};
use crate::request::Commands;

/// Decides what the protocol leaves to the server for one request.
///
/// # Errors
/// `MaxPix`: too big even without a pixel ratio.
pub fn decide(commands: &Commands, header: &Header, company: &Company) -> Result<Decision> {
    let _ = (commands, header, company);
    todo!()
}
