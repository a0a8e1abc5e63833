//! Any text is a template or an error.

use proptest::prelude::*;

mod holds;

proptest! {
    #[test]
    fn any_text(text in "(\\PC|[$]|[$][{]?(request_uri|http_x|arg_q|cookie_S|status|nope)[}]?){0,12}") {
        holds::a_template_or_an_error(&text);
    }
}
