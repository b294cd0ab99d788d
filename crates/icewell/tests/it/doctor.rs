//! `examine` tells an operator what is wrong, and changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use icewell::{Cache, Finding, Limit, Severity, examine};

use crate::support::{begin, mount, own, put};

fn about<'a>(findings: &'a [Finding], name: &str) -> &'a Finding {
    let found = findings.iter().find(|finding| finding.path.ends_with(name));
    found.unwrap_or_else(|| panic!("nothing about {name} in {findings:#?}"))
}

#[test]
fn a_sound_cache_has_nothing_but_information() {
    let own = own();
    put(&own, "x", b"bytes");
    own.set_limit(Limit { max_size: 1 << 20, ..Limit::default() }).unwrap();
    let findings = examine(&own.dir).unwrap();
    assert!(findings.iter().all(|finding| finding.severity == Severity::Info), "{findings:#?}");
    assert!(!findings.is_empty());
}

#[test]
fn what_does_not_belong_is_named() {
    let own = own();
    put(&own, "x", b"bytes");
    fs::rename(own.dir.join("x"), own.dir.join("moved")).unwrap();
    fs::create_dir(own.dir.join("folder")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", own.dir.join("queue/link")).unwrap();
    fs::write(own.dir.join("checkme"), b"").unwrap();
    begin(&own, "suspended", b"by", 5).suspend().unwrap();
    begin(&own, "failed", b"by", 5).roll_back("why");
    let findings = examine(&own.dir).unwrap();
    for name in ["moved", "folder", "queue/link", "checkme"] {
        let finding = about(&findings, name);
        assert_eq!(finding.severity, Severity::Warning, "{finding:?}");
        assert!(!finding.advice.is_empty(), "{finding:?}");
    }
    assert!(about(&findings, "incomplete").message.contains("1 fills were broken off"));
    assert!(about(&findings, "invalid").message.contains("1 fills failed"));
    assert!(own.dir.join("checkme").exists());
}

#[test]
fn what_endangers_the_cache_comes_first() {
    let own = own();
    put(&own, "x", &[1; 100]);
    fs::set_permissions(&own.dir, fs::Permissions::from_mode(0o777)).unwrap();
    own.set_limit(Limit { max_size: 50, ..Limit::default() }).unwrap();
    let findings = examine(&own.dir).unwrap();
    assert_eq!(findings[0].severity, Severity::Problem);
    assert!(findings[0].message.contains("everybody may write"), "{findings:#?}");
    assert!(findings.iter().any(|finding| finding.message.contains("100 bytes are used, and the limit is 50")));
}

#[test]
fn a_directory_that_cannot_be_used_is_a_finding() {
    let Some(ramfs) = mount("ramfs", 1, "") else { return };
    let findings = examine(&ramfs.path).unwrap();
    assert_eq!(findings.len(), 1);
    assert!(findings[0].severity == Severity::Problem && findings[0].message.contains("user_xattr"));
    let ext4 = mount("ext4", 16, "noatime").unwrap();
    drop(Cache::open(ext4.path.join("cache")).unwrap());
    ext4.remount("ro,noatime");
    let findings = examine(&ext4.path.join("cache")).unwrap();
    assert!(findings.iter().any(|finding| finding.message.contains("read-only")), "{findings:#?}");
    assert!(findings.iter().any(|finding| finding.message.contains("noatime")), "{findings:#?}");
    assert!(findings.iter().any(|finding| finding.message.contains("has room for")), "the limit is silly");
}
