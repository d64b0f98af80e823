use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn record(id: &str) -> Record {
    Record {
        oci_version: "1.2.0".into(),
        id: id.into(),
        bundle: "/b".into(),
        rootfs: "/b/rootfs".into(),
        created: "2026-01-01T00:00:00Z".into(),
        annotations: HashMap::new(),
        init: None,
        cgroup: rootling_cgroup::Cgroup::none(),
        rdt: crate::rdt::Groups::default(),
        resources: None,
        own_pid_namespace: true,
        own_mount_namespace: true,
        no_process: false,
        hooks: None,
        is_whole: false,
    }
}

fn store() -> (tempfile::TempDir, Store, ContainerId) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::named(dir.path().join("deep/root"));
    (dir, store, ContainerId::parse("web").unwrap())
}

#[test]
fn of_two_creates_exactly_one_wins() {
    let (_dir, store, id) = store();
    let slot = store.create(&id).unwrap();
    assert_eq!(store.create(&id).err().unwrap().kind(), ErrorKind::AlreadyExists);
    slot.remove().unwrap();
    store.create(&id).unwrap();
}

#[test]
fn one_that_is_being_made_is_not_listed_and_one_whose_maker_died_is_damaged() {
    let (_dir, store, id) = store();
    let slot = store.create(&id).unwrap();
    assert_eq!(store.list().unwrap().count(), 0);
    drop(slot);
    let listed: Vec<Listed> = store.list().unwrap().collect();
    assert!(matches!(&listed[..], [Listed::Damaged(name, _)] if name == "web"));
    let error = store.open(&id).unwrap().read().unwrap_err().to_string();
    assert!(error.contains("rootling delete --force web"), "{error}");
}

#[test]
fn half_a_record_is_reported_and_can_be_removed() {
    let (_dir, store, id) = store();
    let slot = store.create(&id).unwrap();
    slot.write(&record("web")).unwrap();
    assert_eq!(slot.read().unwrap().id, "web");
    fs::write(slot.path().join(RECORD), "{\"id\":\"we").unwrap();
    assert!(slot.read().unwrap_err().to_string().contains("damaged"));
    slot.remove().unwrap();
    assert_eq!(store.open(&id).err().unwrap().kind(), ErrorKind::NotFound);
}

#[test]
fn status_follows_the_lock_the_socket_and_the_process() {
    let (_dir, store, id) = store();
    let slot = store.create(&id).unwrap();
    let mut record = record("web");
    // A lock belongs to the open file description: check through another one, as another process does.
    let other = store.open(&id).unwrap();
    assert_eq!(other.status(&record).unwrap(), Status::Creating);
    fs::write(slot.path().join(START), "").unwrap();
    record.init = Some(crate::process::ProcessRef::of(std::process::id() as i32).unwrap());
    assert_eq!(other.status(&record).unwrap(), Status::Creating);
    // `run` has no socket: the file that it writes before it lets the program go makes the difference.
    slot.end_wait();
    assert_eq!(other.status(&record).unwrap(), Status::Creating);
    record.is_whole = true;
    assert_eq!(other.status(&record).unwrap(), Status::Running);
    fs::write(slot.path().join(START), "").unwrap();
    slot.unlock();
    assert_eq!(other.status(&record).unwrap(), Status::Created);
    slot.end_wait();
    assert_eq!(other.status(&record).unwrap(), Status::Running);
    record.init.as_mut().unwrap().start_time += 1;
    assert_eq!(other.status(&record).unwrap(), Status::Stopped);
}

#[test]
fn a_link_in_place_of_the_directory_or_the_record_is_not_followed() {
    let (dir, store, id) = store();
    fs::create_dir_all(dir.path().join("deep/root")).unwrap();
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), dir.path().join("deep/root/web")).unwrap();
    assert_eq!(store.open(&id).err().unwrap().kind(), ErrorKind::NotFound);
    let other = ContainerId::parse("other").unwrap();
    let slot = store.create(&other).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", slot.path().join(RECORD)).unwrap();
    assert!(slot.read().is_err());
}

#[test]
fn a_state_root_of_everybodys_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let id = ContainerId::parse("web").unwrap();
    for store in [Store::own(&root), Store::named(&root)] {
        store.create(&id).unwrap().remove().unwrap();
        for (mode, named) in [(0o777, false), (0o775, true)] {
            fs::set_permissions(&root, fs::Permissions::from_mode(mode)).unwrap();
            let refused = store.create(&id).err().map(|e| e.to_string());
            if named && store.place.is_named() {
                assert_eq!(refused, None, "{mode:o}");
                store.open(&id).unwrap().remove().unwrap();
            } else {
                assert!(refused.unwrap().contains("others can write it; chmod go-w"), "{mode:o}");
            }
        }
        fs::remove_dir(&root).unwrap();
    }
}

#[test]
fn a_link_in_place_of_a_root_that_nobody_named_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let id = ContainerId::parse("web").unwrap();
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", dir.path().join("rootling")).unwrap();
    for store in [Store::own(dir.path().join("rootling")), Store::below(dir.path())] {
        let error = store.create(&id).err().unwrap().to_string();
        assert!(error.contains("a link in its place is not followed"), "{error}");
        assert!(store.open(&id).is_err());
    }
    Store::named(dir.path().join("rootling")).create(&id).unwrap().remove().unwrap();
}

#[test]
fn a_record_that_is_no_file_or_never_ends_is_damaged_and_removed() {
    let (_dir, store, id) = store();
    let slot = store.create(&id).unwrap();
    nix::unistd::mkfifo(&slot.path().join(RECORD), Mode::S_IRUSR).unwrap();
    assert!(slot.read().unwrap_err().to_string().contains("state.json is not a regular file"));
    fs::remove_file(slot.path().join(RECORD)).unwrap();
    fs::File::create(slot.path().join(RECORD)).unwrap().set_len(3 << 30).unwrap();
    assert!(slot.read().unwrap_err().to_string().contains("state.json is larger than 128 MiB"));
    fs::create_dir_all(slot.path().join("other/deeper")).unwrap();
    fs::write(slot.path().join("other/deeper/file"), "").unwrap();
    slot.remove().unwrap();
    assert_eq!(store.open(&id).err().unwrap().kind(), ErrorKind::NotFound);
}
