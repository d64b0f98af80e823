use oci_spec::runtime::PosixRlimitType;
use serde_json::{Value, json};

use super::super::fixture::{caller, made, refused, root, strings, user};
use super::super::*;

fn request() -> Request {
    Request::default()
}

#[test]
fn a_spec_with_flags_differs_from_runcs_in_what_is_documented() {
    let mut spec = root(Request { args: strings(&["true"]), ..request() });
    let mut plain = serde_json::to_value(default_spec_on(true)).expect("serialises");
    assert!(spec["linux"]["seccomp"].is_object());
    spec["linux"].as_object_mut().expect("object").remove("seccomp");
    plain["ociVersion"] = json!("1.0.2");
    plain["process"]["args"] = json!(["true"]);
    plain["process"]["terminal"] = json!(false);
    plain["root"]["readonly"] = json!(false);
    for spec in [&mut spec, &mut plain] {
        for set in spec["process"]["capabilities"].as_object_mut().expect("object").values_mut() {
            set.as_array_mut().expect("array").sort_by_key(Value::to_string);
        }
    }
    assert_eq!(spec, plain);
}

#[test]
fn flags_about_the_process_become_its_fields() {
    let spec = root(Request {
        args: strings(&["ls", "-l"]),
        rootfs: Some("img".into()),
        readonly: true,
        env: strings(&["TERM=dumb", "NEW=a=b", "NEW=c"]),
        workdir: Some("/srv".into()),
        user: Some(User { uid: 5, gid: 6, groups: vec![7, 8] }),
        hostname: Some("box".into()),
        tty: true,
        oom_score_adj: Some(-7),
        annotation: strings(&["a.b=c=d"]),
        ..request()
    });
    assert_eq!(spec["process"]["args"], json!(["ls", "-l"]));
    assert_eq!(spec["root"], json!({ "path": "img", "readonly": true }));
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(spec["process"]["env"], json!([path, "TERM=dumb", "NEW=c"]));
    assert_eq!(spec["process"]["cwd"], "/srv");
    assert_eq!(spec["process"]["user"], json!({ "uid": 5, "gid": 6, "additionalGids": [7, 8] }));
    assert_eq!((&spec["hostname"], &spec["process"]["terminal"]), (&json!("box"), &json!(true)));
    assert_eq!(spec["process"]["oomScoreAdj"], -7);
    assert_eq!(spec["annotations"], json!({ "a.b": "c=d" }));
}

#[test]
fn the_environment_takes_values_of_the_caller() {
    let own = |name: &str| (name == "LANG").then(|| "C".to_owned());
    let given = strings(&["LANG", "ABSENT", "A=", "B=1"]);
    assert_eq!(environment(&given, own).expect("fine"), ["LANG=C", "A=", "B=1"]);
    let error = environment(&strings(&["=x"]), own).expect_err("no name").to_string();
    assert_eq!(error, "--env \"=x\": has no name; write NAME=VALUE");
}

#[test]
fn flags_that_make_no_sense_are_refused_with_value_and_remedy() {
    for (request, expected) in vec![
        (Request { workdir: Some("srv".into()), ..request() }, "--workdir \"srv\": is not absolute"),
        (Request { rootfs: Some("".into()), ..request() }, "--rootfs \"\": is empty"),
        (
            Request { oom_score_adj: Some(1001), ..request() },
            "--oom-score-adj: 1001 is out of range; use -1000 to 1000",
        ),
        (
            Request { hostname: Some(String::new()), ..request() },
            "--hostname \"\": has to have 1 to 64 bytes",
        ),
        (
            Request { annotation: strings(&["x"]), ..request() },
            "--annotation \"x\": is not of the form KEY=VALUE",
        ),
        (Request { sysctl: strings(&["=x"]), ..request() }, "--sysctl \"=x\": is not of the form KEY=VALUE"),
        (
            Request { sysctl: strings(&["kernel.panic=1"]), ..request() },
            "linux.sysctl.kernel.panic: sysctl \"kernel.panic\" is not in a separate kernel namespace",
        ),
        (Request { ulimit: strings(&["nofile"]), ..request() }, "--ulimit \"nofile\": is not of the form"),
        (
            Request { ulimit: strings(&["nofile=x"]), ..request() },
            "--ulimit \"nofile=x\": is not of the form",
        ),
        (
            Request { ulimit: strings(&["files=1"]), ..request() },
            "--ulimit \"files=1\": no limit \"files\"; there are cpu,",
        ),
        (
            Request { ulimit: strings(&["nofile=5:4"]), ..request() },
            "--ulimit \"nofile=5:4\": the soft limit is above the hard limit",
        ),
        (
            Request { ulimit: strings(&["core=0", "core=1"]), ..request() },
            "--ulimit \"core=1\": is given twice",
        ),
        (Request { cap_add: strings(&["FLY"]), ..request() }, "--cap-add \"FLY\": is not a capability"),
        (
            Request { cap_add: strings(&["KILL"]), cap_drop: strings(&["cap_kill"]), ..request() },
            "--cap-drop \"CAP_KILL\": is added and dropped",
        ),
        (
            Request { cap_add: strings(&["ALL"]), cap_drop: strings(&["all"]), ..request() },
            "--cap-drop \"ALL\": is added and dropped",
        ),
    ] {
        let error = refused(request);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn limits_of_the_process_replace_the_default_one() {
    let limits = |given: &[&str]| {
        let spec = root(Request { ulimit: strings(given), ..request() });
        spec["process"]["rlimits"].clone()
    };
    let one = |typ: &str, soft: u64, hard: u64| json!({ "type": typ, "soft": soft, "hard": hard });
    assert_eq!(limits(&[]), json!([one("RLIMIT_NOFILE", 1024, 1024)]));
    assert_eq!(limits(&["nofile=10:20"]), json!([one("RLIMIT_NOFILE", 10, 20)]));
    assert_eq!(
        limits(&["core=unlimited", "RLIMIT_NPROC=7"]),
        json!([
            one("RLIMIT_NOFILE", 1024, 1024),
            one("RLIMIT_CORE", u64::MAX, u64::MAX),
            one("RLIMIT_NPROC", 7, 7)
        ])
    );
    assert_eq!(limits(&["core=5:-1"])[1], one("RLIMIT_CORE", 5, u64::MAX));
}

#[test]
fn limits_above_the_callers_own_are_lowered_with_a_warning() {
    let mut facts = caller(1000);
    facts.hard_limits = vec![(PosixRlimitType::RlimitNofile, 500), (PosixRlimitType::RlimitCore, 9)];
    let given = Request { ulimit: strings(&["core=unlimited", "nproc=7"]), ..request() };
    let (spec, warnings) = made(&given, &facts).expect("a spec");
    let limits: Vec<_> = spec["process"]["rlimits"]
        .as_array()
        .expect("array")
        .iter()
        .map(|l| (&l["soft"], &l["hard"]))
        .collect();
    assert_eq!(limits, [(&json!(500), &json!(500)), (&json!(9), &json!(9)), (&json!(7), &json!(7))]);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[1].starts_with("--ulimit: RLIMIT_CORE: 18446744073709551615 is above"), "{warnings:?}");
}

#[test]
fn an_oom_score_below_the_callers_is_raised_for_an_ordinary_user() {
    let given = Request { oom_score_adj: Some(-5), ..request() };
    let (spec, warnings) = made(&given, &caller(1000)).expect("a spec");
    assert_eq!(spec["process"]["oomScoreAdj"], 0);
    assert!(warnings[0].starts_with("--oom-score-adj -5: an ordinary user cannot go below"), "{warnings:?}");
    let given = Request { oom_score_adj: Some(5), ..request() };
    assert_eq!(user(given)["process"]["oomScoreAdj"], 5);
}

fn set(spec: &Value, name: &str) -> Vec<String> {
    let values = spec["process"]["capabilities"][name].as_array().cloned().unwrap_or_default();
    let mut names: Vec<_> =
        values.iter().map(|value| value.as_str().expect("string")[4..].to_owned()).collect();
    names.sort_unstable();
    names
}

#[test]
fn capabilities_are_added_to_and_dropped_from_the_default() {
    for (add, drop, expected) in [
        (&[][..], &[][..], &["AUDIT_WRITE", "KILL", "NET_BIND_SERVICE"][..]),
        (&["chown", "CAP_SYS_TIME"], &["KILL"], &["AUDIT_WRITE", "CHOWN", "NET_BIND_SERVICE", "SYS_TIME"]),
        (&["CHOWN,FOWNER"], &["ALL"], &["CHOWN", "FOWNER"]),
        (&[], &["all"], &[]),
    ] {
        let spec = root(Request { cap_add: strings(add), cap_drop: strings(drop), ..request() });
        for name in ["bounding", "effective", "permitted"] {
            assert_eq!(set(&spec, name), expected, "{add:?} {drop:?} {name}");
        }
        for name in ["inheritable", "ambient"] {
            assert_eq!(set(&spec, name), [""; 0], "{add:?} {drop:?} {name}");
        }
    }
    let spec = root(Request { cap_add: strings(&["ALL"]), cap_drop: strings(&["MKNOD"]), ..request() });
    assert_eq!(set(&spec, "bounding").len(), 40);
    assert!(!set(&spec, "bounding").contains(&"MKNOD".to_owned()));
}

#[test]
fn added_capabilities_reach_a_program_that_is_not_roots() {
    let user = Some(User { uid: 5, gid: 5, groups: Vec::new() });
    let spec = root(Request { cap_add: strings(&["CHOWN"]), user, ..request() });
    assert_eq!(
        (set(&spec, "ambient"), set(&spec, "inheritable")),
        (strings(&["CHOWN"]), strings(&["CHOWN"]))
    );
    assert_eq!(set(&spec, "permitted").len(), 4);
}

#[test]
fn capabilities_that_cannot_be_had_are_left_out_with_a_warning() {
    let given = Request { cap_add: strings(&["BPF", "CHOWN"]), ..request() };
    let (spec, warnings) = made(&given, &Facts { last_cap: 38, ..caller(0) }).expect("a spec");
    assert!(!set(&spec, "bounding").contains(&"BPF".to_owned()));
    assert_eq!(warnings, ["--cap-add CAP_BPF: this kernel knows capabilities up to 38; left out"]);
    let (spec, warnings) = made(&given, &Facts { capabilities: !(1 << 39), ..caller(0) }).expect("a spec");
    assert!(!set(&spec, "bounding").contains(&"BPF".to_owned()));
    assert_eq!(warnings, ["CAP_BPF: the caller does not have it itself; left out"]);
    // In a new user namespace all capabilities are available.
    let (spec, warnings) = made(&given, &Facts { capabilities: 0, ..caller(1000) }).expect("a spec");
    assert!(set(&spec, "bounding").contains(&"BPF".to_owned()));
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn groups_of_the_image_need_more_than_one_mapped_group() {
    let given = Request { user: Some(User { uid: 0, gid: 0, groups: vec![7] }), ..request() };
    let (spec, warnings) = made(&given, &caller(1000)).expect("a spec");
    assert_eq!(spec["process"]["user"], json!({ "uid": 0, "gid": 0 }));
    assert!(warnings[0].starts_with("--user: the groups [7] that the image counts"), "{warnings:?}");
}
