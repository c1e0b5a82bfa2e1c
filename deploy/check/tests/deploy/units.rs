//! The units of systemd, judged by systemd.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use crate::files::{pass, root};

const UNITS: [&str; 3] = ["tollgate-gateway", "tollgate-billing", "tollgate-ingest"];

#[test]
fn units_are_valid() {
    let directory = tempfile::tempdir().unwrap();
    let programs = directory.path().join("usr/bin");
    let units = directory.path().join("lib/systemd/system");
    fs::create_dir_all(&programs).unwrap();
    fs::create_dir_all(&units).unwrap();
    fs::create_dir_all(directory.path().join("bin")).unwrap();
    for program in ["usr/bin/gateway", "usr/bin/billing", "bin/kill"] {
        let file = directory.path().join(program);
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for target in ["multi-user.target", "network-online.target", "sysinit.target", "basic.target", "shutdown.target"] {
        fs::write(units.join(target), "[Unit]\nDescription=A target\nDefaultDependencies=no\n").unwrap();
    }
    for unit in UNITS {
        let name = format!("{unit}.service");
        fs::copy(root().join("deploy/systemd").join(&name), units.join(&name)).unwrap();
        let judged = Command::new("systemd-analyze")
            .arg(format!("--root={}", directory.path().display()))
            .args(["verify", "--man=no", &name])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&judged.stderr).into_owned();
        assert!(judged.status.success() && !said.contains(&name), "{said}");
    }
}

#[test]
fn units_leave_little_to_attack() {
    for unit in UNITS {
        // 2.0 of 10: `OK`. A unit without any protection has 9.6.
        let file = format!("deploy/systemd/{unit}.service");
        pass("systemd-analyze", &["security", "--offline=true", "--threshold=20", "--no-pager", &file]);
    }
}
