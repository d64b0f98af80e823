//! The commands in README.md, CONTRIBUTING.md and docs/*.md, typed as they are written. Those in docs/cli are in
//! `cli_docs.rs`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;

use nix::sys::utsname::uname;
use rootling_tests::docs::{Block, Example, Ran, blocks};
use rootling_tests::{Ids, Test, Who, both, root, skip, source};
use serde_json::json;

both!(commands_end_and_print_as_the_pages_say);
root!(host_is_prepared_as_the_page_says);

/// The reason why a command is in [`NOT_RUN`].
#[derive(Clone, Copy)]
enum Why {
    /// It compiles the program or the tests, of which these tests are a part or which they need to be built.
    Builds,
    /// It installs packages or files on the machine, or changes its kernel.
    ChangesTheMachine,
    /// It needs an engine: `make test-engines` runs the same words in the virtual machine.
    TakesAnEngine,
    /// It needs an image from a registry: `image_registry.rs` has a registry of its own.
    TakesARegistry,
    /// It is a file of `hack/ci`: `ci_docs.rs` runs it.
    IsOfCi,
    /// It starts the virtual machine or works in one: `make test-vm` does that with the same scripts.
    TakesTheVirtualMachine,
}

/// The commands that no test can type, by page and beginning. All others are run.
const NOT_RUN: [(&str, &str, Why); 35] = [
    ("README.md", "make deb", Why::Builds),
    ("README.md", "sudo apt install ./target/", Why::ChangesTheMachine),
    ("README.md", "make dist", Why::Builds),
    ("README.md", "sudo tar -C /usr/local ", Why::ChangesTheMachine),
    ("README.md", "make build && sudo make install", Why::Builds),
    ("README.md", "make demo", Why::Builds),
    ("README.md", "make test", Why::Builds),
    ("CONTRIBUTING.md", "make build", Why::Builds),
    ("CONTRIBUTING.md", "make test", Why::Builds),
    ("CONTRIBUTING.md", "make lint", Why::Builds),
    ("docs/ci.md", "#!/bin/sh\n# Runs a command of a CI job ", Why::IsOfCi),
    // The tests in `embedding.rs` use the example that was built together with them.
    ("docs/embedding.md", "cargo run ", Why::Builds),
    ("docs/engines.md", "sudo ctr run ", Why::TakesAnEngine),
    ("docs/engines.md", "rootlesskit ", Why::TakesAnEngine),
    ("docs/engines.md", "alias in_rootlesskit=", Why::TakesAnEngine),
    ("docs/engines.md", "in_rootlesskit ctr ", Why::TakesAnEngine),
    ("docs/engines.md", "#!/bin/sh\nexec /usr/bin/rootling ", Why::TakesAnEngine),
    ("docs/images.md", "rootling image pull ", Why::TakesARegistry),
    ("docs/images.md", "rootling image list ", Why::TakesARegistry),
    ("docs/images.md", "rootling image inspect ", Why::TakesARegistry),
    ("docs/images.md", "rootling image gc ", Why::TakesARegistry),
    ("docs/performance.md", "cargo build -p rootling-tests ", Why::Builds),
    ("docs/performance.md", "hack/vm/", Why::TakesTheVirtualMachine),
    ("docs/releasing.md", "git checkout v", Why::Builds),
    ("docs/rootless.md", "echo 'user.max_user_namespaces = 28633' >", Why::ChangesTheMachine),
    ("docs/rootless.md", "sysctl --system", Why::ChangesTheMachine),
    ("docs/rootless.md", "rootling profile apparmor > /etc/", Why::ChangesTheMachine),
    ("docs/rootless.md", "apparmor_parser -r ", Why::ChangesTheMachine),
    ("docs/testing.md", "SNAPSHOTS=overwrite cargo test ", Why::Builds),
    ("docs/testing.md", "make stress", Why::Builds),
    ("docs/testing.md", "cargo engines ", Why::TakesAnEngine),
    ("docs/testing.md", "cargo vm matrix ", Why::TakesTheVirtualMachine),
    ("docs/testing.md", "ROOTLING_VM_LSM=", Why::TakesTheVirtualMachine),
    ("docs/testing.md", "ROOTLING_VM_ARCH=", Why::TakesTheVirtualMachine),
    ("docs/testing.md", "hack/vm/", Why::TakesTheVirtualMachine),
];

/// The pages, as paths in the project.
fn pages() -> Vec<String> {
    let docs = fs::read_dir(source("docs")).expect("docs").map(|entry| entry.expect("a page").file_name());
    let mut names: Vec<String> = docs
        .filter_map(|name| name.into_string().ok())
        .filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "md"))
        .map(|name| format!("docs/{name}"))
        .collect();
    names.sort_unstable();
    names.splice(0..0, ["README.md".to_owned(), "CONTRIBUTING.md".to_owned()]);
    names
}

fn is_not_run(page: &str, example: &Example) -> bool {
    NOT_RUN.iter().any(|(of, beginning, _)| page == *of && example.command.starts_with(beginning))
}

/// Whether the block belongs in a checkout, which has these commands.
fn is_of_a_checkout(block: &Block) -> bool {
    block.examples.iter().any(|example| example.command.starts_with("make "))
}

/// Whether the page distinguishes several users, root among them: then the host is a part of the example.
fn is_about_a_host(block: &Block) -> bool {
    block.examples.iter().any(|example| !matches!(example.prompt.as_str(), "$" | ""))
}

/// Whether the caller on the page has subordinate ids.
fn shows_ranges(block: &Block) -> bool {
    block.examples.iter().any(|example| example.expected.contains("1:100000:65536"))
}

/// The blocks of a page, without what no test can type.
fn runnable(page: &str) -> Vec<Block> {
    let mut blocks = blocks(page);
    for block in &mut blocks {
        block.examples.retain(|example| !is_not_run(page, example));
    }
    blocks.retain(|block| !block.examples.is_empty());
    blocks
}

#[test]
fn each_command_that_is_not_run_is_there_with_its_reason() {
    for (page, beginning, why) in NOT_RUN {
        let there = blocks(page)
            .iter()
            .flat_map(|block| &block.examples)
            .any(|example| example.command.starts_with(beginning));
        assert!(there, "{page} has no command {beginning:?} any more: remove it from NOT_RUN");
        let why = match why {
            Why::Builds => "it compiles the program or the tests",
            Why::ChangesTheMachine => "it installs something on the machine, or changes its kernel",
            Why::TakesAnEngine => "it runs in the virtual machine: `make test-engines`",
            Why::TakesARegistry => "image_registry.rs runs it, with a registry of its own",
            Why::IsOfCi => "ci_docs.rs runs it, with the steps of each service",
            Why::TakesTheVirtualMachine => "it is for the virtual machine: `make test-vm`",
        };
        eprintln!("not run: {page}: {beginning}: {why}");
    }
}

fn commands_end_and_print_as_the_pages_say(t: &Test) {
    let mut count = 0;
    for page in pages() {
        // What an ordinary user sees there differs from what root sees.
        if page == "docs/rootless.md" && t.who() == Who::Root {
            continue;
        }
        for block in runnable(&page).into_iter().filter(|block| !is_about_a_host(block)) {
            count += block.examples.len();
            if shows_ranges(&block) && t.account().ranges().is_none() {
                skip(&format!("{}: the user has no range in /etc/subuid and /etc/subgid", block.place));
                continue;
            }
            run(t, &page, &block);
        }
    }
    assert!(count >= 8, "only {count} commands were found");
}

/// Types a block where its page says: in the checkout, or else in an empty directory, which for the pages in docs
/// contains a root file system and the bundle `hello`, which was written for root.
fn run(t: &Test, page: &str, block: &Block) {
    let dir = t.path(&block.place.replace(['/', ':'], "-"));
    fs::create_dir(&dir).expect("make a directory");
    chown(&dir, Some(t.account().uid), Some(t.account().gid)).expect("chown of the directory");
    if page.starts_with("docs/") {
        let mut hello = t.shell("echo hello");
        let of_root = json!({"devices": [{"allow": false, "access": "rwm"}]});
        hello.ids(Ids::None).set("/linux/resources", of_root).write();
        symlink(hello.dir(), dir.join("hello")).expect("link to a bundle");
        symlink(hello.rootfs(""), dir.join("rootfs")).expect("link to a root file system");
    }
    let runtime_dir = format!("/tmp/run-{}", t.account().uid);
    let was_there = Path::new(&runtime_dir).exists();
    let ran = if is_of_a_checkout(block) { in_the_checkout(t, block) } else { block.run(t, &dir, &[]) };
    for mut ran in ran {
        ran.ended_as_shown();
        if block.shows_output() {
            ran.printed = as_of_alice(t, &ran.printed);
            ran.printed_as_shown();
        }
    }
    if !was_there {
        // The page shows how to make one.
        let _ = fs::remove_dir(&runtime_dir);
    }
}

/// Types a block in a checkout that is built and newer than its sources, which the test's own may not be.
fn in_the_checkout<'a>(t: &Test, block: &'a Block) -> Vec<Ran<'a>> {
    let target = t.path("target");
    fs::create_dir_all(&target).expect("make a directory");
    let program = target.join("rootling");
    if !program.exists() {
        symlink(t.writable_binary(), &program).expect("link to the program");
        let image = t.binary().with_file_name("rootling-image");
        symlink(image, target.join("rootling-image")).expect("link to the program for images");
    }
    let home = t.path("home");
    let of_the_user = [("HOME", home.as_os_str()), ("CARGO_TARGET_DIR", target.as_os_str())];
    // Unlike root's `make install`, the test must not change the AppArmor configuration of this machine.
    block.run(t, &source(""), &[&of_the_user[..], &[("APPARMOR", OsStr::new("no"))]].concat())
}

/// Replaces the account's ids with those on the pages, which belong to a first user with the first range.
fn as_of_alice(t: &Test, printed: &str) -> String {
    let Some(Ids::Ranges { uid, gid, count }) = t.account().ranges() else { return printed.to_owned() };
    let mut text = printed.to_owned();
    for (own, first) in [(t.account().uid, uid), (t.account().gid, gid)] {
        text = text.replace(&format!("0:{own}:1,1:{first}:{count}"), "0:1000:1,1:100000:65536");
    }
    text
}

/// What an example about a host needs for `alice`: the page is about a host that lacks newuidmap and ranges. The
/// mounts are in a separate mount namespace, so that nothing of it is visible outside.
const HOST_OF_ALICE: &str = r#"
set -e
mkdir etc over state
cp -a /etc/. etc
mount --bind etc /etc
mount -t tmpfs over over
mkdir over/upper over/work
mount -t overlay -o lowerdir=/usr/bin,upperdir=over/upper,workdir=over/work overlay /usr/bin
rm /usr/bin/newuidmap /usr/bin/newgidmap
printf 'root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/nonexistent:/bin/sh\n' >/etc/passwd
printf 'root:x:0:\nalice:x:1000:\n' >/etc/group
printf 'root:*:1::::::\nalice:*:1::::::\n' >/etc/shadow
: >/etc/subuid
: >/etc/subgid
chown 1000:1000 state
# The package's files are those that the overlay hides.
apt-get() { [[ $* == "install uidmap" ]] && umount -l /usr/bin; }
as_alice() {
    setpriv --reuid 1000 --regid 1000 --clear-groups -- \
        env -u XDG_RUNTIME_DIR HOME=/nonexistent USER=alice bash -c "$(declare -f rootling); $1"
}
set +e
"#;

fn host_is_prepared_as_the_page_says(t: &Test) {
    let host = |name: &str, script: &str| {
        let dir = t.path(name);
        fs::create_dir_all(&dir).expect("make a directory");
        let shell = t.command("unshare").args(&["--mount", "bash", "-c"]).dir(dir);
        shell.arg(format!("{HOST_OF_ALICE}{script}")).output()
    };
    let trial = host("trial", "command -v apt-get usermod setpriv");
    if trial.exit() != 0 {
        return skip(&format!("no host like that of the page can be made here: {}", trial.stderr.trim_end()));
    }
    let mut blocks = runnable("docs/rootless.md");
    blocks.retain(is_about_a_host);
    let mut session = blocks.remove(0);
    session.examples.extend(blocks.into_iter().flat_map(|block| block.examples));
    let dir = t.path("host");
    fs::create_dir(&dir).expect("make a directory");
    let mut hello = t.shell("echo uid=$(id -u) gid=$(id -g)");
    hello.set("/process/user", json!({"uid": 33, "gid": 33})).remove("/linux/resources");
    for path in [hello.dir(), &hello.rootfs("")] {
        chown(path, Some(1000), Some(1000)).expect("chown of the bundle");
    }
    symlink(hello.write().dir(), dir.join("hello")).expect("link to the bundle");
    let typed = |example: &Example| match example.prompt.as_str() {
        "#" => example.command.clone(),
        "alice$" => format!("as_alice '{}'", example.command),
        other => panic!("who is {other:?}? {}", example.command),
    };
    // A binary that every user can access.
    let script = session.script(&t.writable_binary(), &dir.join("state"), &typed);
    let output = host("host", &script);
    let kernel = uname().expect("uname").release().to_string_lossy().into_owned();
    for mut ran in session.judge(&output.stdout) {
        ran.ended_as_shown();
        ran.printed = ran.printed.replace(&kernel, "6.18.44");
        ran.printed_as_shown();
    }
}
