//! Does each command's help show how it is used, and would the program take what it shows? Called by no one: a test.
use super::Cli;
use clap::{Command, CommandFactory as _, Parser as _};

/// The words of an example as a shell would pass them: quotes are taken away, an assignment before the command, a
/// comment (after two spaces), a pipe and a redirection are left out.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut blanks) = (Vec::new(), String::new(), false, 0);
    for c in line.trim().chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted && blanks == 1 => break,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            '|' | '>' | '<' | ';' if !quoted => break,
            c => word.push(c),
        }
        blanks = usize::from(c == ' ' && !quoted);
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    let assignments = words.iter().take_while(|word| word.contains('=') && !word.starts_with('-')).count();
    words.split_off(assignments)
}

/// The examples of a help: the lines that are indented by two and begin with the command.
fn examples(command: &Command, path: &[String]) -> Vec<Vec<String>> {
    let help = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string).unwrap_or_default();
    let shown = help.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).map(words);
    // The lab's own binary has no name before its commands.
    let named = shown.map(|words| match words.first().map(String::as_str) {
        Some("zenei") | None => words,
        Some(_) => std::iter::once("zenei".to_owned()).chain(words).collect(),
    });
    named.filter(|words| words.starts_with(path)).collect()
}

fn walk(command: &Command, path: &[String], wrong: &mut Vec<String>) {
    let below: Vec<&Command> = command.get_subcommands().filter(|below| below.get_name() != "help").collect();
    for below in &below {
        let path = [path, &[below.get_name().to_owned()]].concat();
        walk(below, &path, wrong);
    }
    let examples = examples(command, path);
    if below.is_empty() && examples.is_empty() {
        wrong.push(format!("{}: no example", path.join(" ")));
    }
    for example in examples {
        if let Err(error) = Cli::try_parse_from(&example) {
            wrong.push(format!("{}: {error}", example.join(" ")));
        }
    }
}

#[test]
fn each_commands_help_has_an_example_that_the_program_takes() {
    let mut wrong = Vec::new();
    walk(&Cli::command(), &["zenei".to_owned()], &mut wrong);
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn an_example_with_a_wrong_option_or_none_at_all_is_found() {
    let bad = Command::new("replay").after_help("  zenei replay a.ndjson --output x");
    let (mut wrong, path) = (Vec::new(), ["zenei".to_owned(), "replay".to_owned()]);
    walk(&bad, &path, &mut wrong);
    assert!(wrong.len() == 1 && wrong[0].contains("--output"), "{wrong:?}");
    walk(&Command::new("replay").after_help("see the manual"), &path, &mut wrong);
    assert_eq!(wrong[1], "zenei replay: no example");
}

#[test]
fn an_example_is_read_as_a_shell_reads_it() {
    let read = |line: &str| words(line).join("|");
    assert_eq!(read("  ZENEI__A=1 zenei run --x  # why"), "zenei|run|--x");
    assert_eq!(read("  zenei note 1 'two words' > file"), "zenei|note|1|two words");
    assert_eq!(read("  zenei man   prints it"), "zenei|man");
}
