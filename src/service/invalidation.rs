//! `POST /v1/invalidate`: from the names that a site's owner writes to all that is rendered anew for them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::sources::Sources;
use super::{Service, asset_name, blocking};
use crate::cache;
use crate::catalog::{Catalog, Company, Records, SourceRoot};
use crate::error::{Error, Result, shortened};
use crate::request::{self, Target};

/// What `POST /v1/invalidate` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// These assets, each as `Company/Asset`.
    Assets(Vec<String>),
    /// A whole company, by its RootId.
    Company(String),
}

/// One asset of a list.
struct Asset<'a> {
    company: &'a Company,
    /// Its name, element by element, as it stands; and as a URL means it, if that is another one.
    names: Vec<Vec<String>>,
}

/// A look for the record or the source of a request.
struct Look {
    id: String,
    is_recorded: bool,
    root: SourceRoot,
    root_id: String,
    files: Vec<Vec<String>>,
}

impl Service {
    /// Every derivative of these assets, or of a whole company, is rendered anew when it is next asked for. All or nothing.
    /// With a file go the records that are rendered from it. Answers those of the list that have neither source nor record:
    /// they are invalidated all the same, since they may have been there.
    ///
    /// # Errors
    /// `NoCompany`. `Request`: no asset's name. `Io`: it is so now, but may not be after a restart.
    pub async fn invalidate(&self, what: &Invalidation) -> Result<Vec<String>> {
        let catalog = self.catalog();
        let ids = match what {
            Invalidation::Assets(ids) => ids,
            Invalidation::Company(name) => {
                let company = request::company(&catalog, name)?.root_id.clone();
                self.derivatives.invalidate(vec![cache::Target::Company(company)]).await?;
                return Ok(Vec::new());
            }
        };
        let assets = ids.iter().map(|id| Asset::read(&catalog, id)).collect::<Result<Vec<_>>>()?;
        let found: Vec<Vec<Target<'_>>> = assets.iter().map(|asset| asset.targets(&catalog)).collect();
        self.derivatives.invalidate(named(&assets, &found)).await?;
        let looks: Vec<Vec<Look>> = found.iter().map(|targets| targets.iter().map(Look::of).collect()).collect();
        let sources = Arc::clone(&self.sources);
        let look = move || Ok(looks.iter().map(|looks| looks.iter().any(|look| look.succeeds(&sources))).collect());
        let are_known: Vec<bool> = blocking(look).await?;
        let unknown = ids.iter().zip(are_known).filter(|(_, is_known)| !is_known);
        Ok(unknown.map(|(id, _)| id.clone()).collect())
    }
}

impl<'a> Asset<'a> {
    /// # Errors
    /// `Request`: it is no asset's name. `NoCompany`.
    fn read(catalog: &'a Catalog, id: &str) -> Result<Self> {
        let refused = |want: &'static str| Error::Request { got: shortened(id), want: want.into() };
        if id.contains(['?', '*']) {
            return Err(refused(
                "one asset as \"Company/Asset\", without commands and wildcards (a * of its name as %2A)",
            ));
        }
        // As it is copied from a page.
        let path = id.strip_prefix("/is/image/").unwrap_or(id);
        let (company, asset) = path
            .split_once('/')
            .filter(|(company, asset)| !company.is_empty() && !asset.is_empty())
            .ok_or_else(|| refused("\"Company/Asset\""))?;
        let stands: Vec<String> = asset.split('/').map(str::to_owned).collect();
        let meant = asset.split('/').map(request::decoded).collect::<Result<Vec<_>>>();
        let mut names = vec![stands];
        names.extend(meant.ok().filter(|meant| *meant != names[0]));
        if names.iter().flatten().any(|element| matches!(element.as_str(), "" | "." | "..")) {
            return Err(refused("a name below the company, without empty elements, . and .."));
        }
        let company = request::company(catalog, company)
            .or_else(|missing| request::company(catalog, &request::decoded(company)?).map_err(|_| missing))?;
        Ok(Self { company, names })
    }

    /// What requests by its names would find.
    fn targets(&self, catalog: &'a Catalog) -> Vec<Target<'a>> {
        // A name that no request can have names nothing.
        self.names.iter().filter_map(|name| Target::of_object(catalog, self.company, name.clone(), "").ok()).collect()
    }
}

impl Look {
    fn of(target: &Target<'_>) -> Self {
        let object = &target.object;
        Self {
            id: target.id(),
            is_recorded: object.record.is_some(),
            root: object.source.clone(),
            root_id: object.root_id.to_owned(),
            files: object.files.clone(),
        }
    }

    /// Blocks.
    fn succeeds(&self, sources: &Sources) -> bool {
        self.is_recorded || sources.is_there(&self.root, &self.root_id, &self.id, &self.files)
    }
}

/// Assets under all names that their derivatives are kept by: their own, those of their records, and those of records that
/// are rendered from their files.
fn named(assets: &[Asset<'_>], found: &[Vec<Target<'_>>]) -> Vec<cache::Target> {
    let mut all = HashSet::new();
    let mut by_file: HashMap<&str, HashMap<String, Vec<&str>>> = HashMap::new();
    for (Asset { company, names }, targets) in assets.iter().zip(found) {
        let records = by_file.entry(&company.root_id).or_insert_with(|| records_by_file(&company.records));
        for name in names {
            let name = asset_name(name.join("/"));
            let recorded = records.get(&name).into_iter().flatten().map(|id| asset_name((*id).to_owned()));
            all.extend(recorded.map(|id| (company.root_id.clone(), id)));
            all.insert((company.root_id.clone(), name));
        }
        all.extend(targets.iter().map(|target| (target.object.root_id.to_owned(), asset_name(target.object.name()))));
    }
    all.into_iter().map(|(company, asset)| cache::Target::Asset { company, asset }).collect()
}

/// The records that are rendered from a file of another name, by that name.
fn records_by_file(records: &Records) -> HashMap<String, Vec<&str>> {
    let mut all = records.inherited.as_deref().map(records_by_file).unwrap_or_default();
    for (id, record) in &records.own {
        if let Some(path) = &record.path {
            all.entry(asset_name(path.clone())).or_default().push(id);
        }
    }
    all
}
