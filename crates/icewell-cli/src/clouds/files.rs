//! The files that clouds are read from, and where they are looked for.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use tracing::warn;

use super::Surroundings;
use super::yaml::{self, Map, Node};

/// How a file may end; JSON is YAML, too.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// What the files say.
#[derive(Debug)]
pub(super) struct Files {
    /// The clouds, with their secrets.
    pub(super) clouds: Map,
    /// What several clouds have in common, by name.
    pub(super) profiles: Map,
    read: Option<PathBuf>,
}

impl Files {
    /// Reads the first file of each kind that can be read. One that is no YAML is passed over, as clients do.
    pub(super) fn read(around: &Surroundings) -> Files {
        let mut clouds = first(around, "clouds", Some("OS_CLIENT_CONFIG_FILE"));
        let secure = first(around, "secure", Some("OS_CLIENT_SECURE_FILE"));
        let public = first(around, "clouds-public", None);
        let mut all = part(&mut clouds, "clouds");
        merge(&mut all, &part(&mut { secure }, "clouds"));
        Files { clouds: all, profiles: part(&mut { public }, "public-clouds"), read: clouds.map(|(path, _)| path) }
    }

    /// Which file it was, for people.
    pub(super) fn place(&self) -> String {
        match &self.read {
            Some(path) => format!("{} was read", path.display()),
            None => "no clouds.yaml was found".into(),
        }
    }
}

fn part(file: &mut Option<(PathBuf, Node)>, name: &str) -> Map {
    let part = file.as_ref().and_then(|(_, node)| node.as_map()?.get(name)?.as_map().cloned());
    part.unwrap_or_default()
}

/// Lays one map over another, and maps in it over maps.
fn merge(under: &mut Map, over: &Map) {
    for (key, value) in over {
        let mut both = under.get(key).and_then(|under| under.as_map().cloned());
        if let (Some(both), Some(over)) = (&mut both, value.as_map()) {
            merge(both, over);
        }
        let value =
            both.filter(|_| value.as_map().is_some()).map_or_else(|| value.clone(), |both| Rc::new(Node::Map(both)));
        under.insert(key.clone(), value);
    }
}

fn first(around: &Surroundings, name: &str, variable: Option<&str>) -> Option<(PathBuf, Node)> {
    let named = variable.and_then(|variable| around.variables.get(variable)).filter(|named| !named.is_empty());
    let named = named.map(|named| around.current_dir.join(named));
    let places =
        folders(around).into_iter().flat_map(|folder| ENDINGS.map(|ending| folder.join(format!("{name}.{ending}"))));
    named.into_iter().chain(places).find_map(|path| read(&path).map(|node| (path, node)))
}

fn read(path: &Path) -> Option<Node> {
    // One that is missing, or not for us, may be followed by one that is.
    let text = std::fs::read_to_string(path).ok()?;
    let read = yaml::parse(&text);
    if let Err(line) = read {
        warn!(file = %path.display(), line, "passed over: it is no YAML");
    }
    read.ok()
}

/// The current folder, the user's and the system's, in this order.
fn folders(around: &Surroundings) -> Vec<PathBuf> {
    let variable = |name: &str| around.variables.get(name).filter(|value| !value.is_empty());
    // In a snap, HOME is not the user's.
    let home = |name| variable(name).map(|home| Path::new(home).join(".config"));
    let own = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| home("HOME"));
    let usual = home("SNAP_REAL_HOME").or_else(|| home("HOME"));
    let site = variable("XDG_CONFIG_DIRS").map_or("/etc/xdg", String::as_str);
    let site = std::env::split_paths(site).chain(["/etc".into()]);
    let site = site.map(|path| around.root.join(path.strip_prefix("/").unwrap_or(&path)));
    let config = own.into_iter().chain(usual).chain(site).map(|folder| folder.join("openstack"));
    std::iter::once(around.current_dir.clone()).chain(config).collect()
}
