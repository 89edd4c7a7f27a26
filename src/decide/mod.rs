//! Smart Imaging's decisions: facts in, [`Decision`] with reasons out; never renders.
//!
//! Today: the screen's pixel ratio as the URL states it (protocol.md 4.3: D1, D2 and completion c).

use crate::catalog::Company;
use crate::error::Result;
use crate::pixel::Ratio;
use crate::plan::{Decision, DprReason, Header};
use crate::request::{self, Commands};

/// Decides what the protocol leaves to the server for one request.
///
/// # Errors
/// `MaxPix`: too big even without a pixel ratio. `Command`, `Request`: as [`request::layout`].
pub fn decide(commands: &Commands, header: &Header, company: &Company) -> Result<Decision> {
    let plain = request::layout(commands, header.size, company, Ratio::ONE)?;
    plain.check(company.max_pix)?;
    let Some(asked) = commands.dpr else { return Ok(Decision { dpr: Ratio::ONE, dpr_reason: DprReason::Off }) };
    let most = plain.ratio_max();
    Ok(if asked > most && !commands.upscales(company) {
        Decision { dpr: most, dpr_reason: DprReason::NoEnlargement }
    } else {
        Decision { dpr: asked, dpr_reason: DprReason::Url }
    })
}
