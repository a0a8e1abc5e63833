//! What holds of any text. These tests and a target of `fuzz/` share it.

use config::template::Part;
use config::{Phase, Template};

/// No text makes the parser fall over, and what it takes it can take again.
pub fn a_template_or_an_error(text: &str) {
    for phase in [Phase::Request, Phase::Response, Phase::Log] {
        if let Ok(template) = Template::parse(text, phase) {
            assert_eq!(template.source(), text);
            assert_eq!(Template::parse(template.source(), phase).as_ref(), Ok(&template));
            let pieces = template.parts().iter().map(|part| match part {
                Part::Text(text) => text.len(),
                Part::Variable(_) => 0,
            });
            assert!(pieces.sum::<usize>() <= text.len());
        }
    }
}
