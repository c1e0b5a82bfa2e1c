//! The Debian package. Stripping and packing the programs takes a while: `make deploy-test` runs it.

use std::process::Command;

use loadtest::processes::binary;

use crate::files::{pass, root};

#[test]
#[ignore = "packs all programs; make deploy-test"]
fn package_has_programs_units_and_valid_settings_and_passes_lintian() {
    let out = tempfile::tempdir().unwrap();
    let programs = binary("gateway").unwrap();
    let programs = programs.parent().unwrap().to_str().unwrap();
    let said = pass(root().join("deploy/debian/build.sh"), &[programs, out.path().to_str().unwrap()]);
    let package = said.lines().last().unwrap();
    pass("lintian", &["--allow-root", "--fail-on", "error", package]);

    let unpacked = out.path().join("root");
    pass("dpkg-deb", &["--extract", package, unpacked.to_str().unwrap()]);
    for file in ["usr/bin/keyctl", "lib/systemd/system/tollgate-gateway.service", "usr/share/doc/tollgate/runbook.md"] {
        assert!(unpacked.join(file).exists(), "{file}");
    }
    for program in ["gateway", "billing"] {
        let checked = Command::new(unpacked.join("usr/bin").join(program))
            .args(["--config", &format!("etc/tollgate/{program}.yaml"), "--check"])
            .current_dir(&unpacked)
            .env("TOLLGATE_PEPPER", "0123456789abcdef0123456789abcdef")
            .output()
            .unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}
