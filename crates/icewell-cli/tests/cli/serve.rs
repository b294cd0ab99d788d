use crate::env::{TestEnv, run};

#[test]
fn a_file_of_settings_that_makes_no_sense_is_told_with_file_line_and_key() {
    let env = TestEnv::new();
    for (text, told) in [
        ("max-size = 3", "icewell.toml, line 1, max-size: there is no such setting; did you mean max_size?"),
        ("\nmax_size = '10 gallons'", "icewell.toml, line 2, max_size: \"10 gallons\" is not a size"),
        ("max_size = -1", "icewell.toml, line 1, max_size: \"-1\" is not a size"),
        ("idle_timeout = 'soon'", "icewell.toml, line 1, idle_timeout: \"soon\" is not a time"),
        ("listen = 'here'", "icewell.toml, line 1, listen: "),
        ("admin = 'on'", "icewell.toml, line 1, admin: "),
        ("count = 'blocks'", "icewell.toml, line 1, count: \"blocks\" is none of size, allocated"),
        ("serve_stale = 'yes'", "icewell.toml, line 1, serve_stale: it takes true or false, not text"),
        ("log_format = 'xml'", "icewell.toml, line 1, log_format: \"xml\" is none of text, json"),
        ("log = 'icewell=loud=er'", "icewell.toml, line 1, log: "),
        ("max_connections = 1\nmax_connections = 2", "icewell.toml, line 2, max_connections: duplicate key"),
        ("dir = ", "icewell.toml, line 1, dir: "),
    ] {
        env.file("icewell.toml", text);
        env.run(&["serve", "--config", "icewell.toml"]).exits(2).tells(told);
    }
    env.run(&["serve", "--config", "nowhere"]).exits(2).tells("nowhere: cannot be read: No such file");
}

#[test]
fn options_and_environment_that_make_no_sense() {
    let env = TestEnv::new();
    for (option, variable) in [
        ("--max-size", "ICEWELL_MAX_SIZE"),
        ("--listen", "ICEWELL_LISTEN"),
        ("--admin", "ICEWELL_ADMIN"),
        ("--stall-time", "ICEWELL_STALL_TIME"),
        ("--count", "ICEWELL_COUNT"),
        ("--log-format", "ICEWELL_LOG_FORMAT"),
        ("--max-connections", "ICEWELL_MAX_CONNECTIONS"),
    ] {
        env.run(&["serve", option, "nonsense"]).exits(2).tells(option);
        let mut command = env.command(&["serve"]);
        command.env(variable, "nonsense");
        run(command, b"").exits(2).tells(option);
    }
}

#[test]
fn an_option_hides_the_environment() {
    let env = TestEnv::new();
    env.file("icewell.toml", "wrong = 1");
    let mut command = env.command(&["serve", "--max-size", "1GiB", "--config", "icewell.toml"]);
    command.env("ICEWELL_MAX_SIZE", "nonsense");
    run(command, b"").exits(2).tells("icewell.toml, line 1, wrong: there is no such setting");
}

#[test]
fn an_origin_that_makes_no_sense_is_wrong_usage() {
    let env = TestEnv::new();
    env.run(&["serve", "--origin", "gopher://example.org/"]).exits(2);
}

#[test]
fn a_role_needs_a_glance_and_credentials_to_ask_keystone_with() {
    let env = TestEnv::new();
    let glance = "glance+http://127.0.0.1:9";
    let with_role = ["serve", "--origin", glance, "--admin-role", "member"];
    env.run(&with_role).exits(2).tells("--admin-role without credentials").tells("OS_AUTH_URL");
    // A token as it is knows of no Keystone, and a user without a password is nobody, of which the log tells first.
    for variables in [vec![("OS_TOKEN", "t")], vec![("OS_AUTH_URL", "http://127.0.0.1:9"), ("OS_USERNAME", "u")]] {
        let mut command = env.command(&with_role);
        command.envs(variables);
        let ran = run(command, b"").exits(2);
        let told = ran.stderr.lines().last().unwrap();
        assert!(told.starts_with("icewell: cannot use --admin-role without credentials"), "{ran:?}");
    }
    let folder = env.path("images");
    std::fs::create_dir(&folder).unwrap();
    let folder = folder.to_str().unwrap();
    env.run(&["serve", "--origin", folder, "--admin-role", "member"]).exits(2).tells("--admin-token-file");
    env.run(&["serve", "--origin", glance, "--admin-role", " "]).exits(2).tells("it names no role");
    env.file("icewell.toml", format!("origin = '{glance}'\nadmin_role = 'member'"));
    env.run(&["serve", "--config", "icewell.toml"]).exits(2).tells("--admin-role without credentials");
    let mut command = env.command(&["serve", "--origin", glance]);
    command.env("ICEWELL_ADMIN_ROLE", "member");
    run(command, b"").exits(2).tells("--admin-role without credentials");
}
