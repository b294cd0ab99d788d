use crate::env::{TestEnv, run};

/// The value and the origin of a setting, as `icewell config --json` tells it.
fn setting(told: &serde_json::Value, name: &str) -> (serde_json::Value, String) {
    let row = told.as_array().unwrap().iter().find(|row| row["setting"] == name).unwrap();
    (row["value"].clone(), row["from"].as_str().unwrap().to_owned())
}

#[test]
fn what_is_in_force_is_shown_with_where_it_comes_from() {
    let env = TestEnv::new();
    env.file("icewell.toml", "# a comment\nmax_size = \"20GiB\"\nauth_ttl = 3\nstall_time = '2h'\n");
    env.file("glance.conf", "[DEFAULT]\nimage_cache_max_size = 5\nimage_cache_stall_time = 5\n");
    let mut command = env.command(&["config", "--config", "icewell.toml", "--auth-ttl", "9s", "--json"]);
    command.env("ICEWELL_AUTH_TTL", "8s").env("ICEWELL_STALL_TIME", "1h").env("ICEWELL_GLANCE_CONF", "glance.conf");
    let told = run(command, b"").exits(0).json();
    assert_eq!(setting(&told, "auth_ttl"), ("9s".into(), "option".into()));
    assert_eq!(setting(&told, "stall_time"), ("1h".into(), "environment".into()));
    assert_eq!(setting(&told, "max_size"), ("20GiB".into(), "file".into()));
    assert_eq!(setting(&told, "tls_cert"), (serde_json::Value::Null, "default".into()));
    assert_eq!(setting(&told, "dir"), (env.dir().to_str().unwrap().into(), "environment".into()));
    let mut command = env.command(&["config", "--json"]);
    command.env("ICEWELL_GLANCE_CONF", "glance.conf");
    let told = run(command, b"").exits(0).json();
    assert_eq!(setting(&told, "max_size"), ("5".into(), "glance".into()));
    let text = env.ok(&["config", "--config", "icewell.toml"]);
    assert!(text.lines().any(|line| line.split_whitespace().eq(["max_size", "20GiB", "icewell.toml:2"])), "{text}");
    assert!(!env.dir().exists(), "nothing is made");
}

#[test]
fn no_password_of_an_origin_is_shown() {
    let env = TestEnv::new();
    let arguments = ["config", "--origin", "http://user:secret@host/"];
    let told = env.ok(&arguments) + &env.json(&arguments).to_string();
    assert!(told.contains("http://user:***@host/") && !told.contains("secret"), "{told}");
}

#[test]
fn a_check_tells_all_that_is_wrong_with_a_file() {
    let env = TestEnv::new();
    env.file("icewell.toml", "max-size = 3\n\nlisten = 'here'\norigen = 'x'\n[table]\n");
    let told = env.run(&["config", "--check", "icewell.toml"]).exits(1);
    let lines: Vec<_> = told.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert_eq!(lines[0], "icewell.toml, line 1, max-size: there is no such setting; did you mean max_size?");
    assert!(lines[1].starts_with("icewell.toml, line 3, listen: "), "{lines:#?}");
    assert_eq!(lines[2], "icewell.toml, line 4, origen: there is no such setting; did you mean origin?");
    assert!(lines[3].starts_with("icewell.toml, line 5, table: there is no such table"), "{lines:#?}");
    let told = env.run(&["config", "--check", "icewell.toml", "--json"]).exits(1).json();
    assert_eq!((told.as_array().unwrap().len(), &told[1]["line"], &told[1]["key"]), (4, &3.into(), &"listen".into()));
    env.run(&["config", "--check", "nowhere"]).exits(1);
    env.run(&["config", "--config", "icewell.toml"]).exits(2).tells("line 4, origen").tells("line 5, table");
}

#[test]
fn a_check_looks_at_the_files_that_are_named_and_starts_nothing() {
    let env = TestEnv::new();
    std::fs::create_dir(env.path("images")).unwrap();
    env.file("empty", "");
    env.file(
        "icewell.toml",
        "origin = 'images'\nadmin_token_file = 'nowhere'\ntls_cert = 'empty'\ntls_key = 'empty'\n",
    );
    let told = env.run(&["config", "--check", "icewell.toml"]).exits(1).stdout;
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.contains("admin token") && told.contains("certificates"), "{told}");
    env.file("icewell.toml", "origin = 'nowhere'\n");
    let told = env.run(&["config", "--check", "icewell.toml"]).exits(1).stdout;
    assert!(told.contains("nowhere"), "{told}");
    env.file("icewell.toml", "origin = 'images'\n");
    let told = env.run(&["config", "--check", "icewell.toml"]).exits(0).stdout;
    assert_eq!(told, "icewell.toml: nothing is wrong\n");
    assert_eq!(env.json(&["config", "--check", "icewell.toml"]), serde_json::json!([]));
    assert!(!env.dir().exists(), "nothing is made");
}

#[test]
fn the_file_of_defaults_is_right_as_it_is_printed() {
    let env = TestEnv::new();
    let text = env.ok(&["config", "--defaults"]);
    env.file("icewell.toml", &text);
    env.run(&["config", "--check", "icewell.toml"]).exits(0);
    for about in env.json(&["config"]).as_array().unwrap() {
        let name = about["setting"].as_str().unwrap();
        assert!(text.lines().any(|line| line.starts_with(&format!("#{name} = "))), "{name}");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{name}");
    }
}

#[test]
fn the_page_of_the_reference_is_the_one_that_is_printed() {
    let env = TestEnv::new();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md")).unwrap();
    let hint = "write it anew: make docs-generated";
    assert!(page == env.ok(&["config", "--reference"]), "docs/configuration.md is not what the settings are; {hint}");
}

#[test]
fn other_verbs_find_the_directory_in_the_file_too() {
    let env = TestEnv::new();
    let dir = env.path("elsewhere");
    env.file("icewell.toml", format!("dir = '{}'", dir.display()));
    env.file("wrong.toml", "dri = 'x'");
    let ls = |config: &str| {
        let mut command = env.command(&["ls"]);
        command.env_remove("ICEWELL_DIR").env("ICEWELL_CONFIG", env.path(config));
        run(command, b"")
    };
    ls("icewell.toml").exits(0);
    assert!(dir.join("queue").is_dir());
    ls("wrong.toml").exits(2).tells("wrong.toml, line 1, dri").tells("did you mean dir?");
}
