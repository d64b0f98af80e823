//! Devices that are made where somebody else can write as well and exchanges their names meanwhile.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rootling_tests::race::{expect, race_of};
use rootling_tests::{Exchange, Test, can_trace, root, skip};
use serde_json::json;

root!(device_in_a_volume_gives_no_other_file_away);

/// A device in `config.json` is made in a volume, and its owner, who may write there as well, gives its name to a
/// file of root at the moment when its owner is changed.
fn device_in_a_volume_gives_no_other_file_away(t: &Test) {
    const OWNER: u32 = 65534;
    if !can_trace(t) {
        return;
    }
    let volume = t.open_directory("volume");
    let (node, secret) = (volume.join("node"), volume.join("secret"));
    fs::write(&secret, "of root").expect("write a file");
    let mut bundle = t.bundle(&["true"]);
    bundle.mount("/volume", "bind", &volume.to_string_lossy(), &["bind", "rw"]);
    let device =
        json!([{"path": "/volume/node", "type": "c", "major": 1, "minor": 5, "uid": OWNER, "gid": OWNER}]);
    bundle.set("/linux/devices", device).write();
    t.run(&bundle).ok();
    if !node.metadata().is_ok_and(|node| node.uid() == OWNER) {
        return skip("the file system of the tests' directory has no devices");
    }
    let exchange = Exchange::of(&node, &secret);
    let given_away = || {
        let files = [&node, &secret].map(fs::symlink_metadata);
        files.into_iter().flatten().any(|file| file.is_file() && file.uid() != 0)
    };
    let mut check = |_: &_| expect(!given_away(), "a file of root's has another owner");
    // The moment lasts longer than usual.
    let slow = [
        "-e",
        "trace=fchownat,fchown,chown,lchown",
        "-e",
        "inject=fchownat,fchown,chown,lchown:delay_enter=5000",
    ];
    let strace = [&["strace", "-D", "-f", "-qq", "-o", "/dev/null"][..], &slow].concat();
    race_of(&exchange, "/volume/node", &mut check, &mut || t.run_command(&bundle).under(&strace).output());
}
