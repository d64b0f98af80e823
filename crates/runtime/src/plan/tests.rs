use serde_json::json;

use super::*;

#[test]
fn hooks_before_the_root_is_entered_see_it() {
    let sees = |moment: &str| {
        let hooks: Hooks = serde_json::from_value(json!({moment: [{"path": "/bin/true"}]})).unwrap();
        sees_the_root(Some(&hooks))
    };
    assert!(sees("prestart") && sees("createRuntime") && sees("createContainer"));
    assert!(!sees("startContainer") && !sees("poststart") && !sees("poststop") && !sees_the_root(None));
}
