use super::*;

/// What `tests/glance/test_clouds.py` holds the real openstacksdk to, too.
const CASES: &str = include_str!("../../../../tests/glance/clouds.yaml");

fn text(map: &Map, key: &str) -> Option<String> {
    map.get(key)?.as_text().map(str::to_owned)
}

fn texts(map: &Map, key: &str) -> BTreeMap<String, String> {
    let part = map.get(key).and_then(|part| part.as_map()).into_iter().flatten();
    part.map(|(name, value)| (name.clone(), value.as_text().unwrap().to_owned())).collect()
}

#[test]
fn clouds_are_read_as_openstacksdk_reads_them() {
    let cases = yaml::parse(CASES).unwrap();
    let cases = cases.as_list().unwrap();
    assert!(cases.len() > 12);
    for case in cases {
        let case = case.as_map().unwrap();
        let name = text(case, "case").unwrap();
        let root = tempfile::tempdir().unwrap();
        for (path, content) in texts(case, "files") {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let home = root.path().join("home").to_str().unwrap().to_owned();
        let mut variables = texts(case, "variables");
        for value in variables.values_mut() {
            *value = value.replace("{root}", root.path().to_str().unwrap());
        }
        variables.insert("HOME".into(), home);
        let around = Surroundings { variables, current_dir: root.path().join("here"), root: root.path().to_owned() };
        let found = find(&around, text(case, "cloud").as_deref());
        match text(case, "outcome").as_deref() {
            Some("error") => assert!(found.is_err(), "{name}: {found:?}"),
            Some("none") => assert_eq!(found.unwrap(), None, "{name}"),
            _ => {
                let found = found.unwrap().unwrap_or_else(|| panic!("{name}: no cloud"));
                let (read, expected) = (found.fields, texts(case, "fields"));
                assert_eq!(read, expected, "{name}");
            }
        }
    }
}
