//! Real images through real clients: every byte of them, cold and cached.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::fixture::Daemon;

/// The folder of images: where `ICEWELL_TEST_IMAGES` says, as `make test` sets it, else in the build's folder; made if
/// they are not there.
fn images() -> &'static Path {
    static IMAGES: OnceLock<PathBuf> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let default = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("images");
        let folder = std::env::var_os("ICEWELL_TEST_IMAGES").map_or(default, PathBuf::from);
        run(Command::new(root.join("scripts/images.sh")).arg(&folder));
        folder
    })
}

/// Under `timeout`: the curl driver of some qemu versions may hang.
fn program(name: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["100", name]).env("no_proxy", "*");
    command
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn through_curl() {
    let daemon = Daemon::of_folder(images());
    let temp = tempfile::tempdir().unwrap();
    let mut names = 0;
    for entry in fs::read_dir(images()).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let url = format!("http://{}/{name}", daemon.address);
        let copy = temp.path().join("copy");
        let headers = temp.path().join("headers");
        for expected in ["fwd=uri-miss; fwd-status=200; stored", "hit"] {
            run(program("curl").args(["-sSf", "-D"]).arg(&headers).arg("-o").arg(&copy).arg(&url));
            run(program("cmp").arg(entry.path()).arg(&copy));
            let headers = fs::read_to_string(&headers).unwrap().to_lowercase();
            assert!(headers.contains(&format!("cache-status: icewell; {expected}\r\n")), "{name}: {headers}");
        }
        // A download that was broken off goes on where it was.
        let half = fs::metadata(&copy).unwrap().len() / 2;
        fs::File::options().write(true).open(&copy).unwrap().set_len(half).unwrap();
        run(program("curl").args(["-sSf", "-C", "-", "-o"]).arg(&copy).arg(&url));
        run(program("cmp").arg(entry.path()).arg(&copy));
        names += 1;
    }
    assert!(names >= 10, "{names} images");
    daemon.idle();
    // What lies in the cache is the image, with its holes.
    run(program("cmp").arg(images().join("ext4.raw")).arg(daemon.dir.join("ext4.raw")));
    let blocks = |path: PathBuf| std::os::unix::fs::MetadataExt::blocks(&fs::metadata(path).unwrap());
    assert!(blocks(daemon.dir.join("ext4.raw")) <= blocks(images().join("ext4.raw")) + 64);
}

#[test]
fn through_qemu() {
    let daemon = Daemon::of_folder(images());
    let temp = tempfile::tempdir().unwrap();
    let raw = images().join("ext4.raw");
    for state in ["cold", "cached"] {
        for name in ["ext4.qcow2", "ext4-compressed.qcow2"] {
            let url = format!("http://{}/{name}", daemon.address);
            let converted = temp.path().join(format!("{state}-{name}"));
            let convert = ["convert", "-m", "1", "-f", "qcow2", "-O", "raw"];
            run(program("qemu-img").args(convert).arg(&url).arg(&converted));
            run(program("qemu-img").args(["compare", "-f", "raw", "-F", "raw"]).arg(&converted).arg(&raw));
        }
        let url = format!("http://{}/ext4.raw", daemon.address);
        let info = run(program("qemu-img").args(["info", "-f", "raw", "--output", "json"]).arg(url));
        let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
        assert_eq!(info["virtual-size"], fs::metadata(&raw).unwrap().len());
        daemon.idle();
    }
}
