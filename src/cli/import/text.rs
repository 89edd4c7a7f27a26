//! Lines of attribute files, and rows of tables separated by tabs.

/// Lines, whatever ends them, with their numbers from 1 on; one that ends in a backslash goes on in the next.
pub(super) fn lines(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (i, line) in text.replace("\r\n", "\n").replace('\r', "\n").split('\n').enumerate() {
        let (part, next) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match out.last_mut().filter(|_| goes_on) {
            Some((_, before)) => before.push_str(part),
            None => out.push((i + 1, part.to_owned())),
        }
        goes_on = next;
    }
    out
}

/// Rows of fields, each row with the number of its first line; a field in double quotes may hold tabs and line ends, and
/// `""` in it is one quote. Empty lines are no rows.
pub(super) fn rows(text: &str) -> Vec<(usize, Vec<String>)> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut first) = (1, 1);
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    loop {
        let c = chars.next();
        line += usize::from(c == Some('\n'));
        match c {
            Some('"') if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            Some('"') if quoted => quoted = false,
            Some('"') if field.is_empty() => quoted = true,
            Some(c) if quoted => field.push(c),
            Some('\t') => row.push(std::mem::take(&mut field)),
            Some('\n') | None => {
                row.push(std::mem::take(&mut field));
                let row = std::mem::take(&mut row);
                if row.iter().any(|field| !field.is_empty()) {
                    rows.push((first, row));
                }
                first = line;
                if c.is_none() {
                    return rows;
                }
            }
            Some(c) => field.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_every_way_and_go_on() {
        let want = [(1, "a=1"), (2, "b=2"), (3, "c=34"), (5, "")].map(|(n, text)| (n, text.to_owned()));
        assert_eq!(lines("a=1\r\nb=2\rc=3\\\n4\n"), want);
    }

    #[test]
    fn fields_may_be_quoted() {
        let row = |n: usize, fields: &[&str]| (n, fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            rows("Id\tPath\n\nA\t\"x\ty\"\nB\t\"1\n2\"\"3\"\t\r\nC\tit\"s"),
            [row(1, &["Id", "Path"]), row(3, &["A", "x\ty"]), row(4, &["B", "1\n2\"3", ""]), row(6, &["C", "it\"s"])]
        );
        // A quote that never ends takes the rest.
        assert_eq!(rows("a\t\"b\nc"), [row(1, &["a", "b\nc"])]);
        assert!(rows("\n\t\n").is_empty());
    }
}
