//! Extracts text from the documentation as it is.

use std::fs;
use std::path::Path;

/// The first fenced block in `language` below a heading of a page.
pub(super) fn block(docs: &str, page: &str, heading: &str, language: &str) -> Result<String, String> {
    let path = Path::new(docs).join(page);
    let text = fs::read_to_string(&path).map_err(|error| format!("read {}: {error}", path.display()))?;
    below(&text, heading, language)
        .ok_or_else(|| format!("{}: there is no {language} below {heading:?}", path.display()))
}

fn below(text: &str, heading: &str, language: &str) -> Option<String> {
    let fence = format!("```{language}");
    let mut is_below = false;
    let mut lines = text.lines();
    lines.find(|line| {
        if let Some(title) = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))
        {
            is_below = title == heading;
        }
        is_below && *line == fence
    })?;
    let inside = lines.take_while(|line| !line.starts_with("```"));
    Some(inside.flat_map(|line| [line, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Engines\n\n## podman\n\n```console\n$ podman\n```\n\n```toml\n[engine]\nruntime = 1\n```\n\
        ## Docker\n```toml\nother\n```\n";

    #[test]
    fn the_first_block_in_the_language_below_the_heading_is_taken() {
        assert_eq!(below(PAGE, "podman", "toml").as_deref(), Some("[engine]\nruntime = 1\n"));
        assert_eq!(below(PAGE, "Docker", "toml").as_deref(), Some("other\n"));
        assert_eq!(below(PAGE, "Docker", "console"), None);
        assert_eq!(below(PAGE, "docker", "toml"), None);
        assert_eq!(below(PAGE, "Engines", "toml"), None);
    }
}
