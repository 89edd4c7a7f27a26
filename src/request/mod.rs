//! From a URL's query to a plan: commands (a table), layout (pure arithmetic), planner (the one place that orders
//! passes).

use crate::catalog::Company;
use crate::error::Result;
use crate::plan::{Decision, Header, Plan};

/// A parsed query: every command's last value, checked.
#[derive(Clone, Debug, Default)]
pub struct Commands {
    /// Names nobody knows, as sent, in order, each once: for `X-Image-Serving-Ignored`.
    pub ignored: Vec<String>,
}

/// Parses the raw query of a URL (without `?`, still percent-encoded) for a company.
///
/// # Errors
/// `Command`, `UnknownCommand` (strict companies only), `NotSupported`, `UnknownPreset`, `Request`.
pub fn parse(query: &str, company: &Company) -> Result<Commands> {
    let _ = (query, company);
    todo!()
}

/// The plan of a request over a source.
///
/// # Errors
/// `MaxPix`, `Command`: a rule that needs the source's size is broken.
pub fn plan(commands: &Commands, header: &Header, company: &Company, decision: &Decision) -> Result<Plan> {
    let _ = (commands, header, company, decision);
    todo!()
}
