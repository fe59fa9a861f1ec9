//! The relay's policy where chat is played.

/// With a hook that would roll a deployment back and, if asked for, a second chat that hears of the first one's trouble.
pub(crate) fn played(chat: &str, second_chat: bool) -> String {
    let second = format!(
        "[[route]]\nmatch = {{ failure_type = [\"alert_pipeline\"] }}\nlevels = [{{ channels = [\"slack\", \"second\"] }}]\n\n\
         [[route]]\nlevels = [{{ channels = [\"slack\"] }}]\n\n\
         [channels.second]\nplatform = \"slack\"\nallow_private = true\nurl = \"{chat}/second\"\n"
    );
    format!(
        "[channels.rollback]\nplatform = \"webhook\"\nurl = \"{chat}/rollback\"\nallow_private = true\nhook = true\n\n\
         [[route]]\nmatch = {{ failure_type = [\"deploy_regression\"] }}\n\
         levels = [{{ channels = [\"rollback\", \"slack\"] }}]\n\n{}",
        if second_chat { second.as_str() } else { "" }
    )
}
