use rootling_sys::mount::{
    MS_DIRSYNC, MS_I_VERSION, MS_LAZYTIME, MS_MANDLOCK, MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC,
    MS_NOSUID, MS_NOSYMFOLLOW, MS_PRIVATE, MS_RDONLY, MS_REC, MS_RELATIME, MS_SHARED, MS_SILENT, MS_SLAVE,
    MS_STRICTATIME, MS_SYNCHRONOUS, MS_UNBINDABLE,
};
use serde_json::json;

use super::table::*;
use super::*;

fn mount(typ: &str, options: &[&str]) -> runtime::Mount {
    let value = json!({ "destination": "/mnt", "type": typ, "source": "/src", "options": options });
    serde_json::from_value(value).expect("mount")
}

/// Parses the options of a mount, which must break no rule.
fn parse(mount: &runtime::Mount) -> Result<MountOptions, MountError> {
    let options = MountOptions::of(mount);
    kind(mount, &options).map(|_| options)
}

fn tmpfs(options: &[&str]) -> MountOptions {
    parse(&mount("tmpfs", options)).expect("valid")
}

#[test]
fn the_table_is_in_alphabetical_order() {
    assert!(OPTIONS.is_sorted_by_key(|(name, _)| name));
    for (name, expected) in OPTIONS {
        assert_eq!(effect(name), Some(*expected), "{name}");
    }
}

#[test]
fn each_flag_option_sets_or_clears_its_flag() {
    for (word, set, clear) in [
        ("async", 0, MS_SYNCHRONOUS),
        ("sync", MS_SYNCHRONOUS, 0),
        ("atime", 0, MS_NOATIME),
        ("noatime", MS_NOATIME, 0),
        ("defaults", 0, 0),
        ("dev", 0, MS_NODEV),
        ("nodev", MS_NODEV, 0),
        ("diratime", 0, MS_NODIRATIME),
        ("nodiratime", MS_NODIRATIME, 0),
        ("dirsync", MS_DIRSYNC, 0),
        ("exec", 0, MS_NOEXEC),
        ("noexec", MS_NOEXEC, 0),
        ("iversion", MS_I_VERSION, 0),
        ("noiversion", 0, MS_I_VERSION),
        ("lazytime", MS_LAZYTIME, 0),
        ("nolazytime", 0, MS_LAZYTIME),
        ("loud", 0, MS_SILENT),
        ("silent", MS_SILENT, 0),
        ("mand", MS_MANDLOCK, 0),
        ("nomand", 0, MS_MANDLOCK),
        ("relatime", MS_RELATIME, 0),
        ("norelatime", 0, MS_RELATIME),
        ("ro", MS_RDONLY, 0),
        ("rw", 0, MS_RDONLY),
        ("strictatime", MS_STRICTATIME, 0),
        ("nostrictatime", 0, MS_STRICTATIME),
        ("suid", 0, MS_NOSUID),
        ("nosuid", MS_NOSUID, 0),
        ("symfollow", 0, MS_NOSYMFOLLOW),
        ("nosymfollow", MS_NOSYMFOLLOW, 0),
    ] {
        assert_eq!(tmpfs(&[word]), MountOptions { set, clear, ..Default::default() }, "{word}");
    }
}

#[test]
fn each_recursive_option_changes_its_attribute() {
    for (word, rec_set, rec_clear) in [
        ("rro", attr::RDONLY, 0),
        ("rrw", 0, attr::RDONLY),
        ("rnosuid", attr::NOSUID, 0),
        ("rsuid", 0, attr::NOSUID),
        ("rnodev", attr::NODEV, 0),
        ("rdev", 0, attr::NODEV),
        ("rnoexec", attr::NOEXEC, 0),
        ("rexec", 0, attr::NOEXEC),
        ("rnodiratime", attr::NODIRATIME, 0),
        ("rdiratime", 0, attr::NODIRATIME),
        ("rnosymfollow", attr::NOSYMFOLLOW, 0),
        ("rsymfollow", 0, attr::NOSYMFOLLOW),
        ("rnoatime", attr::NOATIME, attr::ATIME),
        ("ratime", 0, attr::ATIME),
        ("rrelatime", 0, attr::ATIME),
        ("rnorelatime", 0, attr::ATIME),
        ("rstrictatime", attr::STRICTATIME, attr::ATIME),
        ("rnostrictatime", 0, attr::ATIME),
    ] {
        assert_eq!(tmpfs(&[word]), MountOptions { rec_set, rec_clear, ..Default::default() }, "{word}");
    }
}

#[test]
fn propagation_options_keep_their_order() {
    let options = tmpfs(&["rslave", "shared", "private", "unbindable"]);
    assert_eq!(options.propagation, [MS_SLAVE | MS_REC, MS_SHARED, MS_PRIVATE, MS_UNBINDABLE]);
    let options = tmpfs(&["runbindable", "rprivate", "slave", "rshared"]);
    assert_eq!(
        options.propagation,
        [MS_UNBINDABLE | MS_REC, MS_PRIVATE | MS_REC, MS_SLAVE, MS_SHARED | MS_REC]
    );
    assert_eq!(propagation("rslave"), Some(Propagation { flag: MS_SLAVE, recursive: true }));
    assert_eq!(propagation("shared"), Some(Propagation { flag: MS_SHARED, recursive: false }));
    assert_eq!(propagation("ro"), None);
    assert_eq!(propagation("RSLAVE"), None);
}

#[test]
fn extensions_are_switches() {
    let options = tmpfs(&["tmpcopyup", "src-nofollow", "dest-nofollow", "copy-symlink", "remount"]);
    let expected = MountOptions {
        tmpcopyup: true,
        src_nofollow: true,
        dest_nofollow: true,
        copy_symlink: true,
        remount: true,
        ..Default::default()
    };
    assert_eq!(options, expected);
}

#[test]
fn a_later_option_wins() {
    assert_eq!(tmpfs(&["ro", "rw"]), MountOptions { clear: MS_RDONLY, ..Default::default() });
    assert_eq!(tmpfs(&["suid", "nosuid"]), MountOptions { set: MS_NOSUID, ..Default::default() });
    assert_eq!(tmpfs(&["rro", "rrw"]), MountOptions { rec_clear: attr::RDONLY, ..Default::default() });
    assert_eq!(tmpfs(&["strictatime", "noatime"]).set, MS_NOATIME);
    let expected = MountOptions { rec_set: attr::STRICTATIME, rec_clear: attr::ATIME, ..Default::default() };
    assert_eq!(tmpfs(&["rnoatime", "rstrictatime"]), expected);
}

#[test]
fn whatever_is_not_known_is_data_in_the_given_order() {
    let options = tmpfs(&["size=64k", "nosuid", "mode=755", "NoSuid", "", "gid=5", "gid=6"]);
    assert_eq!(options.set, MS_NOSUID);
    assert_eq!(options.data, ["size=64k", "mode=755", "NoSuid", "gid=5", "gid=6"]);
    assert_eq!(options.data_value("gid"), Some("6"));
    assert_eq!(options.data_value("size"), Some("64k"));
    assert_eq!(options.data_value("uid"), None);
    assert_eq!(tmpfs(&["ro"]).data, Vec::<String>::new());
}

#[test]
fn binds_are_told_by_option_or_type() {
    for (typ, options, expected) in [
        ("none", &["bind"][..], Some(Bind::Plain)),
        ("none", &["rbind"], Some(Bind::Recursive)),
        ("bind", &[], Some(Bind::Plain)),
        ("bind", &["rbind", "ro"], Some(Bind::Recursive)),
        ("none", &["rbind", "rw", "bind"], Some(Bind::Recursive)),
        ("none", &["bind", "rbind"], Some(Bind::Recursive)),
        ("tmpfs", &[], None),
    ] {
        let mount = mount(typ, options);
        assert_eq!(parse(&mount).expect("valid").bind, expected);
        assert_eq!(is_bind(&mount), expected.is_some());
    }
}

#[test]
fn an_unknown_option_on_a_bind_is_an_error_that_quotes_it() {
    let error = parse(&mount("none", &["rbind", "nosiud"])).unwrap_err().to_string();
    assert_eq!(
        error,
        "mount \"/mnt\": bind mounts cannot have any filesystem-specific options applied: \"nosiud\" is not a \
         mount flag; remove it"
    );
}

#[test]
fn idmaps_come_from_the_option_or_from_the_mounts_own_maps() {
    assert_eq!(parse(&mount("none", &["bind", "idmap"])).expect("valid").idmap, Some(IdmapKind::Plain));
    assert_eq!(parse(&mount("none", &["bind", "ridmap"])).expect("valid").idmap, Some(IdmapKind::Recursive));
    let map = json!([{ "containerID": 0, "hostID": 1, "size": 1 }]);
    let own = json!({ "destination": "/a", "source": "/b", "options": ["bind"], "uidMappings": map, "gidMappings": map });
    let own = serde_json::from_value(own).expect("mount");
    assert_eq!(parse(&own).expect("valid").idmap, Some(IdmapKind::Plain));
}

#[test]
fn fields_that_a_system_call_cannot_take_are_errors() {
    for (value, expected) in [
        (json!({ "destination": "" }), "destination is empty"),
        (json!({ "destination": "/a\0b" }), "null byte: destination"),
        (json!({ "destination": "/a", "source": "x\0" }), "null byte: source"),
        (json!({ "destination": "/a", "type": "t\0" }), "null byte: type"),
        (json!({ "destination": "/a", "options": ["a=\0"] }), "null byte: options"),
        (json!({ "destination": "/a", "type": "bind" }), "a bind mount needs a source"),
        (json!({ "destination": "/a", "options": ["ro"] }), "type: missing; name a file system"),
    ] {
        let error = parse(&serde_json::from_value(value).expect("mount")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
