//! What rootling makes in an image and for itself has the same mode for every caller, whatever the umask.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rootling_tests::{Cmd, Test, both, eventually};

both!(
    mount_points_have_one_mode_whatever_the_umask,
    mount_points_in_the_dev_of_an_image_have_one_mode_whatever_the_umask,
    mount_points_that_are_there_keep_their_mode,
    state_has_one_mode_and_goes_whatever_the_umask,
);

const UMASKS: [&str; 5] = ["0", "022", "077", "0700", "0777"];

/// The command for a caller with this umask.
fn with_umask(command: Cmd, umask: &str) -> Cmd {
    command.under(&["sh", "-c", &format!(r#"umask {umask}; exec "$0" "$@""#)])
}

/// The permissions and the owner of `path`, which is not a link.
fn mode_and_owner(path: &Path) -> (u32, u32) {
    let metadata = path.symlink_metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (metadata.mode() & 0o7777, metadata.uid())
}

fn mount_points_have_one_mode_whatever_the_umask(t: &Test) {
    let source = t.path("source");
    fs::write(&source, "").expect("make the source");
    let source = source.to_str().expect("a path in UTF-8");
    for umask in UMASKS {
        let mut bundle = t.bundle(&["true"]);
        symlink("/behind/a/link", bundle.rootfs("link")).expect("make the link");
        bundle.own_all();
        bundle
            .mount("/first/directory", "tmpfs", "tmpfs", &[])
            .mount("/second/to/file", "bind", source, &["bind"])
            .mount("/link", "tmpfs", "tmpfs", &[])
            .mount("/file", "bind", source, &["bind"]);
        with_umask(t.run_command(bundle.write()), umask).output().ok();
        let directories = ["first", "first/directory", "second", "second/to", "behind/a/link", "behind/a"];
        let files = ["second/to/file", "file"];
        let expected =
            directories.map(|name| (name, 0o755)).into_iter().chain(files.map(|name| (name, 0o644)));
        for (name, mode) in expected {
            let (found, owner) = mode_and_owner(&bundle.rootfs(name));
            assert_eq!(found, mode, "{name} with umask {umask}: {found:o}");
            assert_eq!(owner, t.account().uid, "{name} with umask {umask}");
        }
    }
}

/// What is below the image's own /dev is made in the image.
fn mount_points_in_the_dev_of_an_image_have_one_mode_whatever_the_umask(t: &Test) {
    for umask in UMASKS {
        let mut bundle = t.bundle(&["true"]);
        let mounts = bundle.config["mounts"].as_array_mut().expect("mounts are a list");
        mounts.retain(|mount| mount["destination"] != "/dev");
        with_umask(t.run_command(bundle.write()), umask).output().ok();
        for name in ["dev/pts", "dev/shm", "dev/mqueue"] {
            let (found, _) = mode_and_owner(&bundle.rootfs(name));
            assert_eq!(found, 0o755, "{name} with umask {umask}: {found:o}");
        }
        let entries = fs::read_dir(bundle.rootfs("dev")).expect("list the image's /dev");
        for path in entries.map(|entry| entry.expect("entry of the image's /dev").path()) {
            // The files on which an ordinary user's devices are bind-mounted; root's devices are made.
            if path.symlink_metadata().expect("stat").is_file() {
                let (found, _) = mode_and_owner(&path);
                assert_eq!(found, 0o644, "{} with umask {umask}: {found:o}", path.display());
            }
        }
    }
}

fn mount_points_that_are_there_keep_their_mode(t: &Test) {
    let source = t.path("source");
    fs::write(&source, "").expect("make the source");
    for umask in UMASKS {
        let mut bundle = t.bundle(&["true"]);
        fs::create_dir(bundle.rootfs("directory")).expect("make the directory");
        fs::write(bundle.rootfs("file"), "").expect("make the file");
        bundle.own_all();
        for (name, mode) in [("directory", 0o1770), ("file", 0o600)] {
            fs::set_permissions(bundle.rootfs(name), fs::Permissions::from_mode(mode)).expect("chmod");
        }
        bundle.mount("/directory", "tmpfs", "tmpfs", &[]).mount(
            "/file",
            "bind",
            source.to_str().expect("a path in UTF-8"),
            &["bind"],
        );
        with_umask(t.run_command(bundle.write()), umask).output().ok();
        for (name, mode) in [("directory", 0o1770), ("file", 0o600)] {
            let (found, _) = mode_and_owner(&bundle.rootfs(name));
            assert_eq!(found, mode, "{name} with umask {umask}: {found:o}");
        }
    }
}

/// The owner can always look into it, and nobody else can write to it.
fn state_has_one_mode_and_goes_whatever_the_umask(t: &Test) {
    let private = if t.account().uid == 0 { [0o700, 0o711] } else { [0o700, 0o700] };
    for umask in UMASKS {
        let bundle = t.bundle(&["sleep", "1000"]);
        let root = t.path(&format!("new{umask}/state"));
        let rootling = |args: &[&str]| {
            let command = t.command(t.binary()).arg("--root").arg(&root).args(&t.flags()).args(args);
            with_umask(command, umask)
        };
        let id = t.id("c");
        rootling(&["create", "-b"]).arg(bundle.write().dir()).arg(&id).output().ok();
        for dir in [&root, &root.join(&id)] {
            let (mode, _) = mode_and_owner(dir);
            assert!(private.contains(&mode), "{} with umask {umask}: {mode:o}", dir.display());
        }
        for entry in fs::read_dir(root.join(&id)).expect("list the state directory") {
            let entry = entry.expect("entry of the state directory");
            let (mode, _) = mode_and_owner(&entry.path());
            let file = entry.file_type().expect("type").is_file();
            assert!(!file || mode & 0o677 == 0o600, "{:?} with umask {umask}: {mode:o}", entry.file_name());
        }
        rootling(&["start", &id]).output().ok();
        rootling(&["exec", &id, "true"]).output().ok();
        rootling(&["kill", &id, "KILL"]).output().ok();
        eventually("the container has stopped", || {
            rootling(&["state", &id]).output().ok().json()["status"] == "stopped"
        });
        rootling(&["delete", &id]).output().ok();
        rootling(&["run", "-b"]).arg(t.bundle(&["true"]).write().dir()).arg(&id).output().ok();
        let left = fs::read_dir(&root).expect("list the state root").count();
        assert_eq!(left, 0, "left in {} with umask {umask}", root.display());
    }
}
