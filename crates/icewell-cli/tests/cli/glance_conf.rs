use std::time::{Duration, SystemTime};

use crate::env::{TestEnv, run};

fn without_dir(env: &TestEnv, arguments: &[&str]) -> crate::env::Ran {
    let mut command = env.command(arguments);
    command.env_remove("ICEWELL_DIR");
    run(command, b"")
}

#[test]
fn directory_limit_and_stall_time() {
    let env = TestEnv::new();
    let conf = env.file(
        "glance-api.conf",
        format!(
            "[DEFAULT]\nworkers = 4\nimage_cache_dir = {}\nimage_cache_max_size = 1500\nimage_cache_stall_time = 60\n\
             [glance_store]\nfilesystem_store_datadir = /var/lib/glance/images\n",
            env.dir().display()
        ),
    );
    env.image("a", [b'x'; 1000]);
    env.image("b", [b'x'; 1000]);
    let left = std::fs::File::create(env.dir().join("incomplete/left")).unwrap();
    left.set_modified(SystemTime::now() - Duration::from_secs(120)).unwrap();
    drop(left);

    let listed = without_dir(&env, &["ls", "--json", "--glance-conf", &conf]).exits(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let report = without_dir(&env, &["--glance-conf", &conf, "prune", "--json"]).exits(0).json();
    assert_eq!((&report["max_size"], &report["total_files_pruned"]), (&1500.into(), &1.into()));
    let report = without_dir(&env, &["clean", "--json", "--glance-conf", &conf]).exits(0).json();
    assert_eq!(report["stalled"], 1);
}

#[test]
fn options_count_before_it() {
    let env = TestEnv::new();
    let conf = env.file("conf", "[DEFAULT]\nimage_cache_dir = /nonexistent/x\nimage_cache_max_size = 1\n");
    env.image("a", "hello");
    assert_eq!(env.listed(&["--glance-conf", &conf]), ["a"]);
    assert_eq!(env.json(&["prune", "--glance-conf", &conf, "--max-size", "5"])["total_files_pruned"], 0);
}

#[test]
fn a_file_that_does_not_help_is_wrong_usage() {
    let env = TestEnv::new();
    without_dir(&env, &["ls", "--glance-conf", "nowhere"]).exits(2).tells("nowhere: cannot be read: No such file");
    let conf = env.file("conf", "[DEFAULT]\ndebug = true\n");
    without_dir(&env, &["ls", "--glance-conf", &conf]).exits(2).tells("[DEFAULT] sets no image_cache_dir");
    let conf = env.file("conf", "[DEFAULT]\nimage_cache_max_size = much\n");
    env.run(&["ls", "--glance-conf", &conf]).exits(2).tells("image_cache_max_size: \"much\" is no whole number");
}

#[test]
fn several_files_and_folders_of_them() {
    let env = TestEnv::new();
    env.image("a", "hello");
    let api =
        env.file("api.conf", format!("[DEFAULT]\nbase = {}\nimage_cache_dir = /nowhere\n", env.path("").display()));
    std::fs::create_dir(env.path("conf.d")).unwrap();
    env.file("conf.d/1.conf", "[DEFAULT]\nimage_cache_dir = ${base}/cache\n");
    env.file("conf.d/2.conf.off", "[DEFAULT]\nimage_cache_dir = /off\n");
    let folder = env.path("conf.d").to_str().unwrap().to_owned();
    let listed = without_dir(&env, &["ls", "--json", "--glance-conf", &api, "--glance-conf", &folder]).exits(0).json();
    assert_eq!(listed[0]["image_id"], "a");
    let wrong = env.file("wrong.conf", "[DEFAULT]\nimage_cache_dir = x\nimage_cache_dir\n");
    without_dir(&env, &["ls", "--glance-conf", &api, "--glance-conf", &wrong])
        .exits(2)
        .tells("wrong.conf: line 3: it is not KEY = VALUE");
}
