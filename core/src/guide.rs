#![doc = include_str!("docs/guide.md")]

#[doc = include_str!("docs/lifecycles.md")]
pub mod lifecycles {}

#[doc = include_str!("docs/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("docs/errors.md")]
pub mod errors {}

#[doc = include_str!("docs/limits.md")]
pub mod limits {}

#[doc = include_str!("docs/security.md")]
pub mod security {}

#[doc = include_str!("docs/embedding.md")]
pub mod embedding {}

#[cfg(test)]
mod tests {
    use core::fmt::Debug;
    use core::time::Duration;

    use crate::FailureCode;

    const ERRORS: &str = include_str!("docs/errors.md");
    const LIMITS: &str = include_str!("docs/limits.md");

    #[test]
    fn each_failure_is_on_the_page_of_errors() {
        for code in FailureCode::ALL {
            let row = format!("| `{code}` | {} | {} |", code.http_status(), code.close_code());
            assert!(ERRORS.contains(&row), "{row}");
        }
    }

    /// What a page says of a field: a count, bytes, a wait, or none.
    fn as_debug_has_it(said: &str) -> String {
        let number = |text: &str| text.replace(',', "").parse::<u64>().unwrap_or_else(|_| panic!("{said}"));
        match said.split_once(' ') {
            None if said == "none" => "None".to_owned(),
            None => number(said).to_string(),
            Some((size, "KiB")) => (number(size) << 10).to_string(),
            Some((size, "MiB")) => (number(size) << 20).to_string(),
            Some((size, "GiB")) => (number(size) << 30).to_string(),
            Some((wait, "ms")) => format!("{:?}", Duration::from_millis(number(wait))),
            Some((wait, "s")) => format!("{:?}", Duration::from_secs(number(wait))),
            Some(_) => panic!("{said}"),
        }
    }

    /// The fields of a config that are bounds or waits, and what they are by default.
    fn fields(config: &impl Debug) -> Vec<(String, String)> {
        // These say what a thing is, not how much or how long.
        const ARE_NONE: [&str; 2] = ["version", "first_generation"];
        let text = format!("{config:#?}");
        let fields = text.lines().filter_map(|line| line.strip_prefix("    ")?.strip_suffix(',')?.split_once(": "));
        fields
            .filter(|(name, value)| {
                let is_bound = value.starts_with(|first: char| first.is_ascii_digit()) || *value == "None";
                is_bound && !name.starts_with(' ') && !ARE_NONE.contains(name)
            })
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[track_caller]
    fn is_told(title: &str, config: &impl Debug) {
        let (_, section) = LIMITS.split_once(&format!("\n# {title}\n")).unwrap();
        let section = section.split("\n# ").next().unwrap();
        let mut told: Vec<(String, String)> = section
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split(" | ");
                let name = cells.next()?.trim_end_matches('`');
                Some((name.to_owned(), as_debug_has_it(cells.next()?)))
            })
            .collect();
        let mut fields = fields(config);
        told.sort();
        fields.sort();
        assert!(fields.len() > 5, "{fields:?}");
        assert_eq!(told, fields);
    }

    #[test]
    fn each_limit_is_on_its_page_with_its_default() {
        is_told("A gateway", &crate::gateway::Config::default());
        is_told("A relay", &crate::relay::Config::default());
        is_told("A supervisor", &crate::supervisor::Config::default());
        is_told("A runner", &crate::runner::Config::default());
        is_told("Stores", &crate::kv::Limits::default());
    }
}
