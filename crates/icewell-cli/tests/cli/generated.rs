use std::process::{Command, Stdio};

use crate::env::TestEnv;

#[test]
fn completions_for_every_shell() {
    let env = TestEnv::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = env.ok(&["completions", shell]);
        for word in ["icewell", "unqueue", "stall-time", "glance-conf"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert!(!env.dir().exists());
}

#[test]
fn the_script_for_bash_is_one() {
    let env = TestEnv::new();
    let script = env.file("script", env.ok(&["completions", "bash"]));
    let complete = format!(
        "source {script}; COMP_WORDS=(icewell un); COMP_CWORD=1; _icewell icewell un icewell; echo ${{COMPREPLY[*]}}"
    );
    let Ok(output) = Command::new("bash").args(["--norc", "-c", &complete]).output() else { return };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "unqueue unpin\n", "{output:?}");
}

#[test]
fn a_manual_page_for_every_verb() {
    let env = TestEnv::new();
    env.ok(&["man", "pages"]);
    let pages = std::fs::read_dir(env.path("pages")).unwrap().map(|page| page.unwrap().path());
    let pages: Vec<_> = pages.collect();
    assert_eq!(pages.len(), 25);
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(text.contains(".SH NAME") && text.contains(".SH OPTIONS"), "{page:?}");
        // Where there is a man to read them, it has nothing to complain about.
        let man = Command::new("man")
            .args(["--warnings", "-l"])
            .arg(&page)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output();
        if let Ok(man) = man {
            assert_eq!(String::from_utf8_lossy(&man.stderr), "", "{page:?}");
        }
    }
    let page = std::fs::read_to_string(env.path("pages/glance-cache-manage.1")).unwrap();
    assert!(page.contains("delete\\-all\\-queued\\-images"), "{page}");
    let page = std::fs::read_to_string(env.path("pages/icewell-serve.1")).unwrap();
    assert!(page.contains("ICEWELL_MAX_SIZE"), "the environment is documented");
    assert!(page.contains("\\&icewell serve [OPTIONS]\n"), "it is typed as the help says: {page}");
}
