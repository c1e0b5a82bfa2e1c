//! The files of a release: archive, Debian package and checksums. Stripping and packing the
//! programs takes minutes: `make deploy-test` runs it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use loadtest::processes::binary;

use crate::files::{pass, root};

/// The file of a folder whose name ends like this.
fn file(folder: &Path, end: &str) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut matching = files.filter(|path| path.to_str().unwrap().ends_with(end));
    matching.next().unwrap_or_else(|| panic!("no file ..{end} in {}", folder.display()))
}

/// Checks a configuration of an unpacked release with its own program.
fn check_configuration(directory: &Path, program: &Path, config: &str) {
    let checked = Command::new(program)
        .args(["--config", config, "--check"])
        .current_dir(directory)
        .env("TOLLGATE_PEPPER", "0123456789abcdef0123456789abcdef")
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
#[ignore = "packs all programs; make deploy-test"]
fn release_has_an_archive_and_a_package_that_lintian_passes_and_checksums() {
    let out = tempfile::tempdir().unwrap();
    let files = out.path().join("files");
    let programs = binary("gateway").unwrap();
    let programs = programs.parent().unwrap().to_str().unwrap();
    pass(root().join("deploy/dist.sh"), &[programs, files.to_str().unwrap()]);
    let sums = Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&files).output().unwrap();
    assert!(sums.status.success(), "{sums:?}");

    let archive = file(&files, ".tar.gz");
    pass("tar", &["--directory", out.path().to_str().unwrap(), "-xzf", archive.to_str().unwrap()]);
    let unpacked = file(out.path(), "-linux");
    for program in ["gateway", "billing"] {
        check_configuration(&unpacked, &unpacked.join("bin").join(program), &format!("config/{program}.yaml"));
    }
    let rules = unpacked.join("deploy/helm/tollgate/files/alerts.yaml");
    assert!(fs::symlink_metadata(rules).unwrap().is_file(), "the archive has files where the sources link");

    let package = file(&files, ".deb");
    pass("lintian", &["--allow-root", "--fail-on", "error", package.to_str().unwrap()]);
    let installed = out.path().join("root");
    pass("dpkg-deb", &["--extract", package.to_str().unwrap(), installed.to_str().unwrap()]);
    for file in ["usr/bin/keyctl", "lib/systemd/system/tollgate-gateway.service", "usr/share/doc/tollgate/runbook.md"] {
        assert!(installed.join(file).exists(), "{file}");
    }
    for program in ["gateway", "billing"] {
        check_configuration(
            &installed,
            &installed.join("usr/bin").join(program),
            &format!("etc/tollgate/{program}.yaml"),
        );
    }
}
