//! Rows of text in columns as wide as their widest cell. Called by `backtest`, `fleet` and `nab`.

/// Lines of a table; the first column is aligned left, the others right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells
            .zip(&widths)
            .enumerate()
            .map(|(at, (cell, width))| if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
        padded.collect::<Vec<String>>().join("  ").trim_end().to_owned()
    };
    let first = line(&mut head.iter().copied());
    std::iter::once(first).chain(rows.iter().map(|row| line(&mut row.iter().map(String::as_str)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_under_one_another() {
        let rows = vec![vec!["H1".to_owned(), "12".to_owned()], vec!["all".to_owned(), "3".to_owned()]];
        assert_eq!(table(&["of", "n"], &rows), ["of    n", "H1   12", "all   3"]);
    }
}
