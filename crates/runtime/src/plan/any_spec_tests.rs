//! Tries each field of the specification absent, of a wrong type and with a wrong value. The result must be a one-line
//! error that is always the same, or the documented default, and never a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use rootling_config::load::{self, Loaded};
use rootling_rootless::host::{Fixture, NodeKind};
use serde_json::{Value, json};

use super::*;
use crate::lifecycle::plan_loaded;

/// Every field of config.md and config-linux.md of runtime-spec 1.3.
fn full() -> Value {
    serde_json::from_str(include_str!("full.json")).expect("full.json")
}

/// The fields that exclude parts of [`full`].
fn other() -> Value {
    let mut spec = full();
    spec["process"]["scheduler"] = json!({"policy": "SCHED_RR", "priority": 5});
    spec["linux"]["resources"]["cpu"]["cpus"] = json!("0-1");
    spec["linux"]["personality"] = json!({"domain": "LINUX32", "flags": ["ADDR_NO_RANDOMIZE"]});
    let linux = spec["linux"].as_object_mut().expect("an object");
    linux.remove("timeOffsets");
    linux.insert(
        "namespaces".into(),
        json!([
            {"type": "mount"}, {"type": "user"}, {"type": "network", "path": "/run/netns/one"},
            {"type": "time", "path": "/proc/1/ns/time"}, {"type": "uts", "path": "/proc/1/ns/uts"},
            {"type": "ipc", "path": "/proc/1/ns/ipc"}
        ]),
    );
    spec
}

fn user() -> Fixture {
    Fixture::ordinary(1000)
        .file("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/sh\n")
        .file("/etc/subuid", "alice:100000:65536\n")
        .file("/etc/subgid", "alice:100000:65536\n")
        .file("/proc/self/oom_score_adj", "0\n")
        .file("/proc/self/cgroup", "0::/mine\n")
        .id_helpers()
        .device("/dev/fuse", NodeKind::Char, 10, 229)
        .device("/dev/pipe", NodeKind::Fifo, 0, 0)
}

fn hosts() -> [(&'static str, Fixture); 3] {
    let nested = Fixture::root_in_user_namespace(1000)
        .file("/proc/self/uid_map", "0 0 4000000\n")
        .file("/proc/self/gid_map", "0 0 4000000\n")
        .file("/proc/self/setgroups", "allow\n")
        .file("/proc/self/oom_score_adj", "0\n")
        .device("/dev/fuse", NodeKind::Char, 10, 229)
        .device("/dev/pipe", NodeKind::Fifo, 0, 0);
    [("root", Fixture::ordinary(0)), ("user", user()), ("nested", nested)].map(|(name, host)| {
        let modules = host.file("/sys/module/apparmor/parameters/enabled", "Y\n");
        (name, modules.file("/sys/fs/selinux/enforce", "1"))
    })
}

/// A directory with a root file system, in which a document can be turned into a plan.
struct Planner {
    dir: tempfile::TempDir,
    hosts: Vec<(&'static str, Fixture)>,
}

/// The warnings of a plan that could be made, or the error.
type Outcome = Result<Vec<String>, String>;

impl Planner {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("make a bundle");
        std::fs::create_dir(dir.path().join("rootfs")).expect("make its rootfs");
        Self { dir, hosts: hosts().into() }
    }

    /// Does what every start does before the first process is made.
    fn plan(&self, loaded: Loaded, machine: &Fixture) -> Outcome {
        let options = CreateOptions {
            ignore_cgroup_limits: true,
            seccomp_cache: Some(self.dir.path().join("seccomp")),
            ..CreateOptions::new(ContainerId::parse("web").expect("an id"), self.dir.path())
        };
        let mut warnings = Vec::new();
        plan_loaded(loaded, &Host::on(machine.clone()), &options, &mut |warning| warnings.push(warning))
            .map_err(|error| error.to_string())?;
        Ok(warnings)
    }

    /// Plans for all hosts, or only as far as the host does not matter, and asserts what must hold for any document.
    fn outcomes(&self, document: &Value, context: &str) -> Vec<Outcome> {
        let text = document.to_string();
        let load = || load::from_slice(Path::new("config.json"), text.as_bytes());
        let load = || load().map_err(|error| Error::invalid(chain(&error)).to_string());
        let no_panic = |name: &str, step: &dyn Fn() -> Outcome| {
            let outcome = catch_unwind(AssertUnwindSafe(step));
            let outcome = outcome.unwrap_or_else(|_| panic!("{context}: {name}: panic"));
            let lines = match &outcome {
                Ok(warnings) => warnings.iter().map(String::as_str).collect(),
                Err(error) => vec![error.as_str()],
            };
            for line in lines {
                assert!(!line.is_empty() && !line.contains(char::is_control), "{context}: {name}: {line:?}");
            }
            outcome
        };
        let read = no_panic("load", &|| load().map(|_| Vec::new()));
        if read.is_err() {
            return vec![read];
        }
        let plan =
            |(name, machine): &(&'static str, Fixture)| no_panic(name, &|| self.plan(load()?, machine));
        self.hosts.iter().map(plan).collect()
    }
}

/// The JSON pointers of everything inside `value`, not including itself.
fn pointers(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, into: &mut Vec<String>) {
        let children: Vec<(String, &Value)> = match value {
            Value::Object(members) => members.iter().map(|(key, value)| (escape(key), value)).collect(),
            Value::Array(items) => {
                items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
            }
            _ => Vec::new(),
        };
        for (key, child) in children {
            let pointer = format!("{at}/{key}");
            into.push(pointer.clone());
            walk(child, &pointer, into);
        }
    }
    let mut all = Vec::new();
    walk(value, "", &mut all);
    all
}

/// One pointer for each field: of the entries of a list, only the first that has it.
fn fields(value: &Value) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let of_any_entry = |pointer: &String| {
        pointer.split('/').map(|key| if is_index(key) { "*" } else { key }).collect::<Vec<_>>().join("/")
    };
    pointers(value).into_iter().filter(|pointer| seen.insert(of_any_entry(pointer))).collect()
}

fn is_index(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit())
}

/// Escapes a key as RFC 6901, section 3, requires.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn wrong_values() -> Vec<Value> {
    vec![
        json!(true),
        json!(-1),
        json!(0),
        json!(u32::MAX),
        json!(u64::MAX),
        json!(0.5),
        json!(""),
        json!("x"),
        json!("/a\0b"),
        json!("/a\nb\u{1b}[1m"),
        json!([]),
        json!(["x", "/a\nb"]),
        json!({}),
        json!({"a\nb": "c\nd"}),
    ]
}

fn remove(document: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.remove(&key.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(items)) => {
            let index: usize = key.parse().expect("an index");
            if index < items.len() {
                items.remove(index);
            }
        }
        _ => {}
    }
}

/// A pointer in the notation of errors: `mounts[0].options`.
fn field(pointer: &str) -> String {
    let mut text = String::new();
    for key in pointer.split('/').skip(1) {
        if is_index(key) {
            text.extend(["[", key, "]"]);
        } else {
            text.push_str(if text.is_empty() { "" } else { "." });
            text.push_str(key);
        }
    }
    text
}

fn same_type(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.is_f64() == other.is_f64(),
        _ => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

#[test]
fn full_documents_are_planned_for_everybody() {
    let planner = Planner::new();
    for document in [full(), other()] {
        for outcome in planner.outcomes(&document, "unchanged") {
            outcome.expect("a plan");
        }
    }
}

#[test]
fn field_of_a_wrong_type_or_value_is_an_error_or_a_plan() {
    // Root of a user namespace is covered by the combinations below.
    let mut planner = Planner::new();
    planner.hosts.retain(|(name, _)| *name != "nested");
    let mut failures = Vec::new();
    for document in [full(), other()] {
        // What both documents have is tried only once.
        let seen =
            |pointer: &String| document != full() && document.pointer(pointer) == full().pointer(pointer);
        for pointer in fields(&document).into_iter().filter(|pointer| !seen(pointer)) {
            for wrong in wrong_values() {
                let mut changed = document.clone();
                let at = changed.pointer_mut(&pointer).expect("a pointer");
                let accepted = same_type(at, &wrong);
                *at = wrong.clone();
                let outcomes = planner.outcomes(&changed, &format!("{pointer} = {wrong}"));
                let named =
                    |outcome: &Outcome| outcome.as_ref().is_err_and(|error| error.contains(&field(&pointer)));
                if !accepted && !outcomes.iter().all(named) {
                    failures.push(format!("{pointer} = {wrong}: {:?}", outcomes[0]));
                }
            }
        }
    }
    assert!(failures.is_empty(), "no error that names the field:\n{}", failures.join("\n"));
}

#[test]
fn absent_field_is_what_null_is() {
    let mut planner = Planner::new();
    planner.hosts.retain(|(name, _)| *name != "nested");
    let (mut needed, mut failures) = (Vec::new(), Vec::new());
    for pointer in fields(&full()) {
        let mut absent = full();
        remove(&mut absent, &pointer);
        let outcomes = planner.outcomes(&absent, &format!("{pointer} removed"));
        let mut null = full();
        *null.pointer_mut(&pointer).expect("a pointer") = Value::Null;
        let with_null = planner.outcomes(&null, &format!("{pointer} = null"));
        let of_a_list = pointer.ends_with(|last: char| last.is_ascii_digit());
        if !of_a_list && outcomes != with_null {
            failures.push(format!("{pointer}: {outcomes:?} / {with_null:?}"));
        }
        if let Err(error) = outcomes.into_iter().next().expect("an outcome") {
            needed.push((pointer, error));
        }
    }
    assert!(failures.is_empty(), "null is not what absence is:\n{}", failures.join("\n"));
    let names: Vec<_> = needed.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(names, NEEDED, "{needed:#?}");
}

/// What cannot be left out of [`full`], because the specification requires it or because something else in the document
/// depends on it. Everything that is not listed has a default.
const NEEDED: &[&str] = &[
    "/hooks/createContainer/0/path",
    "/hooks/createRuntime/0/path",
    "/hooks/poststart/0/path",
    "/hooks/poststop/0/path",
    "/hooks/prestart/0/path",
    "/hooks/startContainer/0/path",
    "/linux",
    "/linux/devices/0/path",
    "/linux/devices/0/type",
    "/linux/gidMappings",
    "/linux/gidMappings/0",
    "/linux/gidMappings/0/size",
    "/linux/memoryPolicy/mode",
    "/linux/memoryPolicy/nodes",
    "/linux/namespaces",
    "/linux/namespaces/0/type",
    "/linux/personality/domain",
    "/linux/resources/devices/0/access",
    "/linux/resources/hugepageLimits/0/pageSize",
    "/linux/resources/memory/limit",
    "/linux/seccomp/defaultAction",
    "/linux/seccomp/listenerPath",
    "/linux/seccomp/syscalls/0/action",
    "/linux/seccomp/syscalls/0/names",
    "/linux/seccomp/syscalls/2/args/0/op",
    "/linux/uidMappings",
    "/linux/uidMappings/0",
    "/linux/uidMappings/0/size",
    "/mounts/0/destination",
    "/mounts/0/type",
    "/mounts/6/gidMappings",
    "/mounts/6/gidMappings/0",
    "/mounts/6/gidMappings/0/size",
    "/mounts/6/uidMappings",
    "/mounts/6/uidMappings/0",
    "/mounts/6/uidMappings/0/size",
    "/process/args",
    "/process/capabilities/permitted",
    "/process/capabilities/permitted/0",
    "/process/cwd",
    "/process/rlimits/0/hard",
    "/process/rlimits/0/type",
    "/process/scheduler/deadline",
    "/process/scheduler/policy",
    "/process/scheduler/runtime",
    "/root",
    "/root/path",
];

#[test]
fn nul_is_refused_where_it_would_end_a_string() {
    // Text that is passed on unchanged, names that are skipped if they are unknown, and files whose size the kernel
    // limits.
    let free = [
        "/annotations/",
        "/process/capabilities/",
        "/linux/seccomp/listenerMetadata",
        "/linux/seccomp/syscalls/",
        "/linux/intelRdt/",
        "/linux/sysctl/",
        "/linux/resources/",
    ];
    let planner = Planner::new();
    for document in [full(), other()] {
        for pointer in fields(&document) {
            let mut changed = document.clone();
            let at = changed.pointer_mut(&pointer).expect("a pointer");
            if !at.is_string() || free.iter().any(|free| pointer.starts_with(free)) {
                continue;
            }
            *at = "/a\0b".into();
            // Planned as root, for whom nothing is adapted: for an ordinary user the field might be dropped.
            planner.outcomes(&changed, &pointer).swap_remove(0).expect_err(&pointer);
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<(usize, Option<Value>)>> {
    let value = proptest::option::of(proptest::sample::select(wrong_values()));
    proptest::collection::vec((0..pointers(&full()).len(), value), 2..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn several_wrong_fields_are_an_error_or_a_plan(changes in changes()) {
        let planner = Planner::new();
        let (mut document, pointers) = (full(), pointers(&full()));
        for (index, value) in changes {
            let pointer = &pointers[index];
            match (value, document.pointer_mut(pointer)) {
                (Some(value), Some(at)) => *at = value,
                (None, Some(_)) => remove(&mut document, pointer),
                (_, None) => {}
            }
        }
        let context = document.to_string();
        prop_assert_eq!(planner.outcomes(&document, &context), planner.outcomes(&document, &context));
    }
}
