use serde_json::{Value, json};

use super::*;
use crate::process::affinity;

fn able() -> LimitSupport {
    LimitSupport {
        cpus: affinity::parse("0-3").expect("list"),
        mems: affinity::parse("0").expect("list"),
        swap: true,
        swappiness: true,
        oom_kill_disable: true,
        blkio_weight: true,
        realtime: Some(500_000),
        controllers: Controllers::ALL,
    }
}

fn checked(resources: Value, host: &LimitSupport) -> Result<(Value, Vec<String>), LimitError> {
    let mut resources = serde_json::from_value(resources).expect("resources");
    let warnings = check(&mut resources, host, MEMORY_MIN)?;
    Ok((serde_json::to_value(resources).expect("serialises"), warnings))
}

const MIB: i64 = 1 << 20;

#[test]
fn limits_that_make_sense_are_completed() {
    for (given, expected) in [
        (
            json!({ "memory": { "limit": 6 * MIB } }),
            json!({ "memory": { "limit": 6 * MIB, "swap": 12 * MIB } }),
        ),
        (json!({ "memory": { "limit": -1 } }), json!({ "memory": { "limit": -1 } })),
        (json!({ "memory": { "swap": -1 } }), json!({ "memory": { "swap": -1 } })),
        (
            json!({ "memory": { "limit": 8 * MIB, "reservation": 8 * MIB, "swap": 8 * MIB, "swappiness": 100 } }),
            json!({ "memory": { "limit": 8 * MIB, "reservation": 8 * MIB, "swap": 8 * MIB, "swappiness": 100 } }),
        ),
        (json!({ "pids": { "limit": 0 } }), json!({ "pids": { "limit": -1 } })),
        (json!({ "pids": { "limit": 7 } }), json!({ "pids": { "limit": 7 } })),
        (
            json!({ "cpu": { "shares": 512, "period": 1000, "quota": -1, "cpus": "1-2", "mems": "0" } }),
            json!({ "cpu": { "shares": 512, "period": 1000, "quota": -1, "cpus": "1-2", "mems": "0" } }),
        ),
        (json!({ "blockIO": { "weight": 10 } }), json!({ "blockIO": { "weight": 10 } })),
    ] {
        assert_eq!(checked(given, &able()), Ok((expected, Vec::new())));
    }
}

#[test]
fn limits_that_make_none_are_refused_with_value_and_range() {
    for (given, expected) in [
        (json!({ "memory": { "limit": 1 } }), "memory: 1 bytes is below the minimum of 6291456"),
        (
            json!({ "memory": { "reservation": 5 } }),
            "memory-reservation: 5 bytes is below the minimum of 6291456",
        ),
        (
            json!({ "memory": { "limit": 6 * MIB, "reservation": 7 * MIB } }),
            "memory-reservation: 7340032 is above the memory limit of 6291456",
        ),
        (json!({ "memory": { "swap": 7 * MIB } }), "memory-swap: 7340032 needs a memory limit"),
        (
            json!({ "memory": { "limit": 8 * MIB, "swap": 7 * MIB } }),
            "memory-swap: 7340032 is below the memory limit",
        ),
        (json!({ "memory": { "swappiness": 101 } }), "memory-swappiness: 101 is out of range; use 0 to 100"),
        (json!({ "cpu": { "period": 999 } }), "cpu-period: 999 microseconds is out of range"),
        (json!({ "cpu": { "period": 1_000_001 } }), "cpu-period: 1000001"),
        (json!({ "cpu": { "realtimePeriod": 5 } }), "cpu-rt-period: 5 microseconds is out of range"),
        (
            json!({ "cpu": { "realtimePeriod": 2000, "realtimeRuntime": 2001 } }),
            "cpu-rt-runtime: 2001 microseconds is out of range; use 1 to 2000",
        ),
        (
            json!({ "cpu": { "realtimeRuntime": 500_001 } }),
            "cpu-rt-runtime: 500001 microseconds is more than the 500000 of the cgroups above; set their",
        ),
        (json!({ "cpu": { "quota": 999 } }), "cpu-quota: 999 microseconds is too little"),
        (
            json!({ "cpu": { "cpus": "0,4" } }),
            "cpuset-cpus: \"0,4\" names 4, which this host does not have; it has 0-3",
        ),
        (json!({ "cpu": { "mems": "x" } }), "cpuset-mems: \"x\" is not a list of numbers: \"x\" is neither"),
        (json!({ "blockIO": { "weight": 9 } }), "blkio-weight: 9 is out of range; use 10 to 1000"),
        (
            json!({ "blockIO": { "weightDevice": [{ "major": 8, "minor": 0, "weight": 1001 }] } }),
            "blkio-weight: 1001 is out of range",
        ),
    ] {
        let error = checked(given, &able()).expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn what_the_host_cannot_do_is_left_out_with_a_warning() {
    let host = LimitSupport {
        swap: false,
        swappiness: false,
        oom_kill_disable: false,
        blkio_weight: false,
        ..able()
    };
    let given = json!({
        "memory": { "limit": 8 * MIB, "swap": 9 * MIB, "swappiness": 5, "disableOOMKiller": true },
        "blockIO": { "weight": 100 }
    });
    let (resources, warnings) = checked(given, &host).expect("warnings only");
    assert_eq!(resources, json!({ "memory": { "limit": 8 * MIB } }));
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    let (resources, warnings) = checked(json!({ "memory": { "limit": 8 * MIB } }), &host).expect("fine");
    assert_eq!((resources, warnings.len()), (json!({ "memory": { "limit": 8 * MIB } }), 0));
}

#[test]
fn limits_of_controllers_that_the_caller_does_not_have_are_left_out() {
    let all = json!({
        "memory": { "limit": 8 * MIB }, "cpu": { "shares": 5, "cpus": "0" }, "pids": { "limit": 5 },
        "blockIO": { "weight": 10 }
    });
    for (controllers, expected, warnings) in [
        (Controllers::default(), json!({}), 5),
        (
            Controllers::among(["memory", "pids"]),
            json!({ "memory": { "limit": 8 * MIB, "swap": 16 * MIB }, "pids": { "limit": 5 } }),
            3,
        ),
        (Controllers::among(["cpu"]), json!({ "cpu": { "shares": 5 } }), 4),
        (Controllers::among(["cpuset"]), json!({ "cpu": { "cpus": "0" } }), 4),
        (Controllers::among(["blkio"]), json!({ "blockIO": { "weight": 10 } }), 4),
    ] {
        let (resources, texts) =
            checked(all.clone(), &LimitSupport { controllers, ..able() }).expect("warnings");
        assert_eq!((resources, texts.len()), (expected, warnings), "{texts:?}");
    }
    let none = LimitSupport { controllers: Controllers::default(), ..able() };
    assert!(checked(json!({ "memory": { "limit": 1 } }), &none).is_err(), "an error stays an error");
    assert_eq!(checked(json!({ "pids": { "limit": 0 } }), &none), Ok((json!({}), Vec::new())));
}

#[test]
fn realtime_needs_a_host_that_has_it() {
    let given = json!({ "cpu": { "realtimeRuntime": 1000, "realtimePeriod": 2000 } });
    assert_eq!(checked(given.clone(), &able()), Ok((given.clone(), Vec::new())));
    let (resources, warnings) =
        checked(given, &LimitSupport { realtime: None, ..able() }).expect("a warning");
    assert_eq!(resources, json!({}));
    assert!(warnings[0].starts_with("cpu-rt-runtime and cpu-rt-period: this host"), "{warnings:?}");
}

#[test]
fn odd_limits_are_warned_about() {
    for (shares, expected) in [(1, 2), (300_000, 262_144)] {
        let (resources, warnings) =
            checked(json!({ "cpu": { "shares": shares } }), &able()).expect("clamped");
        assert_eq!(resources["cpu"]["shares"], expected);
        assert!(warnings[0].starts_with(&format!("cpu-shares: {shares} is outside 2 to 262144; {expected}")));
    }
    let (_, warnings) =
        checked(json!({ "memory": { "disableOOMKiller": true } }), &able()).expect("accepted");
    assert!(warnings[0].starts_with("oom-kill-disable: without a memory limit"));
}

#[test]
fn a_smaller_memory_minimum_can_be_asked_for() {
    let mut resources = serde_json::from_value(json!({ "memory": { "limit": 1024 } })).expect("resources");
    assert_eq!(check(&mut resources, &able(), 0), Ok(Vec::new()));
}

#[test]
fn change_is_held_to_the_rules_and_to_what_is_in_force() {
    let changed = |before: &Value, wanted: Value, least| {
        let (before, mut wanted) = (
            serde_json::from_value(before.clone()).expect("resources"),
            serde_json::from_value(wanted).expect("resources"),
        );
        check_change(&mut wanted, &before, &able(), least)
            .map(|_| serde_json::to_value(wanted).expect("a value"))
    };
    let before = json!({ "memory": { "limit": 50 * MIB, "reservation": 20 * MIB } });
    for (wanted, least, expected) in [
        (
            json!({ "memory": { "reservation": 4 * MIB } }),
            None,
            "memory-reservation: 4194304 bytes is below the minimum of 6291456",
        ),
        (
            json!({ "memory": { "reservation": 60 * MIB } }),
            None,
            "memory-reservation: 62914560 is above the memory limit of 52428800, which is in force",
        ),
        (
            json!({ "memory": { "limit": 10 * MIB } }),
            None,
            "memory: 10485760 is below the memory reservation of 20971520, which is in force",
        ),
        (
            json!({ "memory": { "limit": 3 * MIB } }),
            Some(4 * MIB),
            "memory: 3145728 bytes is below the minimum",
        ),
    ] {
        let error = changed(&before, wanted, least).expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    for (wanted, least) in [
        (json!({ "memory": { "reservation": 4 * MIB } }), Some(4 * MIB)),
        (json!({ "memory": { "reservation": 50 * MIB } }), None),
        (json!({ "memory": { "reservation": -1 } }), None),
        (json!({ "memory": { "limit": 60 * MIB, "reservation": 60 * MIB } }), None),
        (json!({ "memory": { "limit": 4 * MIB, "reservation": -1 } }), None),
        (json!({ "memory": { "limit": -1 } }), None),
    ] {
        assert_eq!(changed(&before, wanted.clone(), least), Ok(wanted));
    }
    let none = json!({});
    let large = json!({ "memory": { "reservation": 60 * MIB } });
    assert_eq!(changed(&none, large.clone(), None), Ok(large));
    let pids = |limit: i64| json!({ "pids": { "limit": limit } });
    assert_eq!(changed(&none, pids(0), None), Ok(pids(0)));
}

#[test]
fn cpus_become_a_quota() {
    let none = LinuxCpu::default();
    for (cpus, expected) in [("0.01", 1_000), ("1.5", 150_000), ("4", 400_000)] {
        assert_eq!(cpus_quota(cpus, 4, &none), Ok(expected));
    }
    for (cpus, expected) in [
        ("0.009", "cpus: \"0.009\" is out of range; use 0.01 to 4"),
        ("4.1", "cpus: \"4.1\" is out of range"),
        ("-1", "cpus: \"-1\" is out of range"),
        ("NaN", "cpus: \"NaN\" is out of range"),
        ("inf", "cpus: \"inf\" is out of range"),
        ("x", "cpus: \"x\" is not a number"),
    ] {
        let error = cpus_quota(cpus, 4, &none).expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let period = serde_json::from_value(json!({ "period": 5000 })).expect("cpu");
    assert!(cpus_quota("1", 4, &period).expect_err("both").to_string().contains("together with cpu-period"));
}

#[test]
fn oom_score_and_shm_size_have_ranges() {
    assert_eq!((oom_score_adj(-1000), oom_score_adj(1000)), (Ok(-1000), Ok(1000)));
    assert_eq!(
        oom_score_adj(1001).unwrap_err().to_string(),
        "oom-score-adj: 1001 is out of range; use -1000 to 1000"
    );
    assert_eq!((shm_size(None), shm_size(Some(5))), (Ok(SHM_SIZE), Ok(5)));
    assert!(shm_size(Some(-1)).is_err());
}
