//! The manual that the program prints of itself.

use std::process::{Command, Output};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

fn underpass(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_underpass")).args(arguments).output().unwrap()
}

#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let output = underpass(arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn there_is_a_page_for_the_program_and_for_each_command() {
    let program = printed(&["man"]);
    assert!(program.contains(".TH underpass 1"), "{program}");
    for command in ["up", "gateway", "relay", "runner", "decode", "encode", "translate", "man", "completions"] {
        assert!(program.contains(&format!("underpass\\-{command}(1)")), "{command} is not in:\n{program}");
        let page = printed(&["man", command]);
        assert!(page.contains(&format!(".TH underpass-{command} 1")), "{page}");
    }
    assert!(printed(&["man", "gateway"]).contains("\\-\\-listen"));
}

#[test]
fn all_pages_go_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(printed(&["man", "--folder", folder.path().to_str().unwrap()]), "");
    for page in ["underpass.1", "underpass-up.1", "underpass-gateway.1", "underpass-completions.1"] {
        assert!(folder.path().join(page).is_file(), "{page}");
    }
}

#[test]
fn a_page_that_is_not_there_is_told_in_one_line() {
    let output = underpass(&["man", "nonsense"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "underpass: there is no command nonsense: see --help\n");
    let output = underpass(&["man", "--folder", "/dev/null/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("underpass: cannot write to /dev/null/nowhere: ") && told.lines().count() == 1, "{told}");
}

#[test]
fn each_shell_is_told_of_each_command() {
    for shell in SHELLS {
        let script = printed(&["completions", shell]);
        for word in ["gateway", "translate", "completions", "drain-limit"] {
            assert!(script.contains(word), "{word} is not among the completions for {shell}");
        }
    }
}
