use rootling_cli::global::LogFormat;

use super::*;

fn parsed(line: &str) -> Cli {
    parse(line.split(' ').map(OsString::from)).unwrap_or_else(|_| panic!("{line}"))
}

fn refused(line: &str) -> String {
    let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    message(&read(definition(COMMANDS), &args).expect_err(line))
}

#[test]
fn the_definition_is_consistent() {
    whole("rootling").debug_assert();
}

#[test]
fn one_list_of_options_is_parsed_as_two_are() {
    let flat_commands: Vec<_> = COMMANDS.iter().filter(|d| flat(d, &[]).is_some()).collect();
    assert!(flat_commands.len() > COMMANDS.len() / 2);
    for d in flat_commands {
        flat(d, &[]).unwrap().debug_assert();
    }
    for line in [
        "rootling run -b /b --pid-file p c",
        "rootling run --systemd-cgroup --detach --log l --log-format json c",
        "rootling exec -t --user 1:2 -e A=B --cwd / c sh -c --root",
        "rootling exec c -- run --rootless true",
        "rootling exec --process p.json --debug c",
        "rootling create --bundle b --console-socket s --cgroup-manager cgroupfs c",
        "rootling kill -a c KILL",
        "rootling kill c 9 --log-level debug",
        "rootling delete -f a b",
        "rootling state c --root /r --root /s",
        "rootling list -q --criu /c",
        "rootling start a b",
        "rootling update --memory 1 --cpus 2 c",
        "rootling ps c -- -ef",
        "rootling --root /r --log-format json create -b b c",
        "rootling --root=/r --debug --systemd-cgroup start a",
        "rootling --root /r state c --root /s",
        "rootling --log-level debug --debug exec c run",
    ] {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let only = named(&args).unwrap();
        let two = format!("{:?}", read(definition(std::slice::from_ref(only)), &args).map_err(|e| e.kind()));
        let one = format!("{:?}", read_flat(only, &args).expect(line).map_err(|e| e.kind()));
        assert_eq!(one, two, "{line}");
    }
    for line in [
        "rootling state",
        "rootling state a b",
        "rootling list --version",
        "rootling list -h",
        "rootling run --systemd-cgroup --cgroup-manager systemd c",
        "rootling exec --no-such c true",
    ] {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert!(read_flat(named(&args).unwrap(), &args).expect(line).is_err(), "{line}");
        assert!(matches!(parse(args.into_iter()), Err(End::Wrong(..) | End::Answer(_))), "{line}");
    }
    for line in [
        "rootling state --rootless true c",
        "rootling spec --rootless",
        "rootling --rootless true state c",
        "rootling --root run state c",
        "rootling --root run --log delete state c",
        "rootling --bundle b run c",
        "rootling --debug=true run c",
        "rootling -v run c",
        "rootling x run c",
    ] {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert!(read_flat(named(&args).unwrap(), &args).is_none(), "{line}");
    }
}

#[test]
fn global_options_are_taken_before_and_after_the_command() {
    for line in ["rootling --root /r --systemd-cgroup state x", "rootling state --root /r x --systemd-cgroup"]
    {
        let cli = parsed(line);
        assert_eq!(cli.global.root.as_deref(), Some(Path::new("/r")), "{line}");
        assert!(cli.global.systemd_cgroup, "{line}");
    }
}

#[test]
fn spec_has_a_flag_named_as_the_global_option() {
    let Command::Spec(spec) = parsed("rootling spec --rootless").command else { panic!("not spec") };
    assert!(spec.rootless);
}

#[test]
fn the_value_of_an_option_may_be_the_name_of_a_command() {
    let cli = parsed("rootling --root list state run");
    assert_eq!(cli.global.root.as_deref(), Some(Path::new("list")));
    assert_eq!((cli.command.name(), cli.command.id()), ("state", Some("run")));
    assert_eq!(parsed("rootling ls -q").command.name(), "list");
}

#[test]
fn values_of_rootless_are_those_of_runc() {
    use crate::args::Rootless::{self, Auto, False, True};
    let value = |line: &str| -> Rootless { parsed(line).global.rootless };
    for (word, expected) in [
        ("true", True),
        ("TRUE", True),
        ("1", True),
        ("t", True),
        ("false", False),
        ("0", False),
        ("auto", Auto),
    ] {
        assert_eq!(value(&format!("rootling --rootless={word} list")), expected, "{word}");
        assert_eq!(value(&format!("rootling --rootless {word} list")), expected, "{word}");
    }
}

#[test]
fn the_last_of_an_option_given_twice_counts() {
    assert_eq!(parsed("rootling --root a list --root b").global.root.as_deref(), Some(Path::new("b")));
    assert_eq!(parsed("rootling --debug --debug list").command.name(), "list");
}

#[test]
fn one_dash_is_enough_for_a_long_option() {
    let cli = parsed("rootling -root /r -debug list -quiet=true");
    assert_eq!((cli.global.root.as_deref(), cli.global.debug), (Some(Path::new("/r")), true));
    assert!(matches!(cli.command, Command::List(crate::args::List { quiet: true, .. })));
}

#[test]
fn what_is_misspelt_is_named_with_what_is_like_it() {
    for (line, expected) in [
        ("rootling strat", "no command \"strat\": No help topic for 'strat' (did you mean \"start\"?)"),
        ("rootling list --quite", "unknown option \"--quite\" (did you mean \"--quiet\"?)"),
        ("rootling state", "missing: <CONTAINER-ID>"),
        ("rootling state a b", "one argument too many: \"b\""),
    ] {
        assert_eq!(refused(line), expected, "{line}");
    }
    assert!(refused("rootling --log-format xml list").contains("invalid log-format: xml"));
}

#[test]
fn help_begins_with_the_name_and_groups_the_commands() {
    let whole = help_text("runc", None).unwrap();
    assert!(whole.starts_with("NAME:\n   runc - Open Container Initiative runtime"), "{whole}");
    assert!(whole.contains("\nLIFECYCLE OF A CONTAINER:\n   run "), "{whole}");
    let list = help_text("runc", Some("list")).unwrap();
    assert!(list.starts_with("NAME:\n   runc list - "), "{list}");
    assert!(list.contains("--quiet") && !list.contains("--systemd-cgroup"), "{list}");
}

#[test]
fn what_is_wrong_with_an_id_is_said_in_its_own_words() {
    let long = "a".repeat(3000);
    for (id, wanted) in
        [("a/b", "contains '/'"), ("", "is empty"), ("..", "special meaning"), (&long, "has 3000 bytes")]
    {
        for command in ["state", "create", "run", "pause", "update", "ps", "events", "stats"] {
            let args = ["rootling", "--log-format", "json", command, id].map(OsString::from);
            let Err(End::Wrong(message, Some(global))) = parse(args.into_iter()) else {
                panic!("{command} {id}")
            };
            assert!(message.starts_with(&format!("{command}: container id ")), "{message}");
            assert!(message.contains(wanted) && message.len() < 200, "{message}");
            assert_eq!(global.log_format, LogFormat::Json);
        }
    }
}
