//! Who somebody is to a cloud, as OpenStack's clients read it: variables `OS_*`, and `clouds.yaml`.
//!
//! 1. The files are found and read; `secure.yaml` is laid over `clouds.yaml`.
//! 2. The variables are a cloud of their own, called `envvars`.
//! 3. One cloud is chosen: the one that is named, by `--os-cloud` or `OS_CLOUD`; else the variables; else the only one.
//! 4. It is laid over its profile, and its fields are brought into one form.
//!
//! This is what `openstack.config` of openstacksdk does, and `tests/glance/clouds.yaml` holds both to it. What is left
//! out: profiles that openstacksdk brings along, or that are URLs.

mod files;
pub(crate) mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;

use icewell_server::{Credentials, FIELDS};
use tracing::warn;

use self::files::Files;
use self::yaml::{Map, Node};
use crate::failure::{Failure, Result};

/// What clouds are read from.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) current_dir: PathBuf,
    /// In the place of `/`: where the system's own files lie.
    pub(crate) root: PathBuf,
}

/// A cloud's fields, by the names in [`FIELDS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cloud {
    name: String,
    fields: BTreeMap<String, String>,
}

/// The credentials of the cloud of this name, or of the one that is meant where none is named; none where nothing is
/// said of any.
pub(crate) fn credentials(named: Option<&str>) -> Result<Option<Credentials>> {
    let around = Surroundings {
        variables: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        current_dir: std::env::current_dir().unwrap_or_default(),
        root: "/".into(),
    };
    let Some(Cloud { name, fields }) = find(&around, named)? else { return Ok(None) };
    let credentials = Credentials::from_fields(fields);
    credentials.map(Some).map_err(|error| Failure::usage(format!("cloud {name:?}: {}", Failure::from(error))))
}

/// The same for a daemon, which does not stop for what it finds by itself: that it says in the log.
pub(crate) fn credentials_if_any(named: Option<&str>) -> Result<Option<Credentials>> {
    match credentials(named) {
        Err(why) if named.is_none() => {
            warn!(%why, "no service credentials");
            Ok(None)
        }
        found => found,
    }
}

fn find(around: &Surroundings, named: Option<&str>) -> Result<Option<Cloud>> {
    let files = Files::read(around);
    let variable = |name: &str| around.variables.get(name).filter(|value| !value.is_empty()).cloned();
    let ours = variable("OS_CLOUD_NAME").unwrap_or_else(|| "envvars".into());
    if files.clouds.contains_key(&ours) {
        return Err(Failure::usage(format!(
            "{}: the cloud {ours:?} is called as the one that OS_* variables make; rename it, or set OS_CLOUD_NAME",
            files.place()
        )));
    }
    let from_variables = from_variables(&around.variables);
    let only = || files.clouds.keys().next().filter(|_| files.clouds.len() == 1).cloned();
    let chosen = named.map(str::to_owned).or_else(|| variable("OS_CLOUD"));
    let said = chosen.is_some();
    let Some(name) = chosen.or_else(|| from_variables.is_some().then(|| ours.clone())).or_else(only) else {
        return Ok(None);
    };
    let cloud = if name == ours { from_variables } else { files.clouds.get(&name).map(|cloud| normalised(cloud)) };
    let Some(cloud) = cloud else {
        let place = files.place();
        return Err(Failure::usage(format!("no cloud is called {name:?}; {place}")));
    };
    let fields = fields(&with_profile(cloud, &files, &ours)?);
    let says_where = fields.contains_key("auth_url") || fields.contains_key("token");
    // A variable of OpenStack's that happens to be set makes nobody log in.
    Ok((said || says_where).then_some(Cloud { name, fields }))
}

/// The cloud that the variables make, if they make one.
fn from_variables(variables: &BTreeMap<String, String>) -> Option<Map> {
    const SELECT: [&str; 5] =
        ["OS_CLOUD", "OS_REGION_NAME", "OS_CLIENT_CONFIG_FILE", "OS_CLIENT_SECURE_FILE", "OS_CLOUD_NAME"];
    // Those of OpenStack's own test machinery.
    const OTHERS: [&str; 3] = ["OS_TEST", "OS_STD", "OS_LOG"];
    let set = variables
        .iter()
        .filter(|(name, _)| name.starts_with("OS_") && !OTHERS.iter().any(|prefix| name.starts_with(prefix)));
    let set: Vec<_> = set.collect();
    if set.iter().all(|(name, _)| SELECT.contains(&name.as_str())) {
        return None;
    }
    let key = |name: &str| name["OS_".len()..].to_lowercase();
    Some(set.into_iter().map(|(name, value)| (key(name), Node::Text(value.clone()).into())).collect())
}

/// The same with `_` for each `-` in its keys, those of its parts too.
fn normalised(cloud: &Node) -> Map {
    let of = |value: &std::rc::Rc<Node>| match &**value {
        map @ Node::Map(_) => Node::Map(normalised(map)).into(),
        _ => value.clone(),
    };
    cloud.as_map().into_iter().flatten().map(|(key, value)| (key.replace('-', "_"), of(value))).collect()
}

/// The cloud over its profile, and what its first region says over both.
fn with_profile(cloud: Map, files: &Files, ours: &str) -> Result<Map> {
    let text = |key: &str| cloud.get(key).and_then(|value| value.as_text());
    let profile = text("profile").or_else(|| text("cloud")).filter(|profile| *profile != ours);
    let mut whole = match profile {
        None => Map::new(),
        Some(profile) => files.profiles.get(profile).map(|profile| normalised(profile)).ok_or_else(|| {
            Failure::usage(format!("no profile is called {profile:?} in a clouds-public.yaml; {}", files.place()))
        })?,
    };
    overlay(&mut whole, cloud);
    let region = whole.get("regions").and_then(|regions| regions.as_list()?.first().cloned());
    if let Some(values) = region.and_then(|region| region.as_map()?.get("values").cloned()) {
        overlay(&mut whole, normalised(&values));
    }
    Ok(whole)
}

/// Lays one cloud over another: of `auth` each field, of all else the whole.
fn overlay(under: &mut Map, over: Map) {
    for (key, value) in over {
        let mut both = (key == "auth").then(|| under.get("auth").and_then(|auth| auth.as_map().cloned())).flatten();
        if let (Some(both), Some(auth)) = (&mut both, value.as_map()) {
            both.extend(auth.clone());
        }
        under.insert(key, both.map_or(value, |both| Node::Map(both).into()));
    }
}

/// The fields of a cloud, from its `auth` and from beside it, by today's names.
fn fields(cloud: &Map) -> BTreeMap<String, String> {
    let none = Map::new();
    let auth = cloud.get("auth").and_then(|auth| auth.as_map()).unwrap_or(&none);
    let in_auth = |name: &str| auth.get(name).and_then(|value| value.as_text());
    let beside = |name: &str| cloud.get(name).and_then(|value| value.as_text());
    let mut fields = BTreeMap::new();
    for name in FIELDS {
        let value = match name {
            // Beside `auth` stands what a variable or an option said, and that counts before the file. The old names of
            // projects count less, wherever they stand.
            "project_id" | "project_name" => {
                let old = name.replace("project", "tenant");
                beside(name).or(in_auth(name)).or(beside(&old)).or(in_auth(&old))
            }
            "token" => beside(name).or(in_auth(name)).or(beside("auth_token")).or(in_auth("auth_token")),
            "domain_id"
            | "domain_name"
            | "user_domain_id"
            | "user_domain_name"
            | "project_domain_id"
            | "project_domain_name" => beside(name).or(in_auth(name)),
            "username" => in_auth(name).or(in_auth("user_name")).or(beside(name)).or(beside("user_name")),
            "auth_type" => beside(name).or(beside("auth_plugin")),
            "cacert" | "insecure" | "verify" => beside(name),
            _ => in_auth(name).or(beside(name)),
        };
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            fields.insert(name.to_owned(), value.to_owned());
        }
    }
    one_domain_for_all(&mut fields);
    fields
}

/// Who names a project may name its domain and the user's at once, as the domain.
fn one_domain_for_all(fields: &mut BTreeMap<String, String>) {
    if !["project_id", "project_name"].iter().any(|name| fields.contains_key(*name)) {
        return;
    }
    for (domain, parts) in [
        ("domain_id", ["user_domain_id", "project_domain_id"]),
        ("domain_name", ["user_domain_name", "project_domain_name"]),
    ] {
        if let Some(domain) = fields.remove(domain) {
            for part in parts {
                fields.entry(part.to_owned()).or_insert_with(|| domain.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
