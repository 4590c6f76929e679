//! The little Markdown that error pages use: headings, paragraphs, lists, code.

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(super) fn to_html(text: &str) -> String {
    text.replace("\r\n", "\n").split("\n\n").map(block).collect()
}

fn block(text: &str) -> String {
    let text = text.trim_matches('\n');
    if let Some(code) = text.strip_prefix("```") {
        let code = code.split_once('\n').map_or("", |(_, code)| code);
        return format!("<pre><code>{}</code></pre>", escape(code.trim_end_matches("```")));
    }
    if let Some(title) = text.strip_prefix("## ") {
        return format!("<h2>{}</h2>", inline(title));
    }
    if let Some(title) = text.strip_prefix("# ") {
        return format!("<h1>{}</h1>", inline(title));
    }
    if text.starts_with("- ") {
        let items = text.split("\n- ").map(|item| inline(item.trim_start_matches("- ")));
        let items: String = items.map(|item| format!("<li>{item}</li>")).collect();
        return format!("<ul>{items}</ul>");
    }
    if text.is_empty() { String::new() } else { format!("<p>{}</p>", inline(text)) }
}

/// Backticks alternate between text and code.
fn inline(text: &str) -> String {
    text.split('`')
        .enumerate()
        .map(|(at, part)| {
            let part = escape(part);
            if at % 2 == 1 { format!("<code>{part}</code>") } else { part }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_error_pages_use() {
        let html = to_html("# A `b`\n\nText <x>.\n\n- one\n- two\n\n```\nlet a;\n```");
        let list = "<ul><li>one</li><li>two</li></ul>";
        let code = "<pre><code>let a;\n</code></pre>";
        assert_eq!(html, format!("<h1>A <code>b</code></h1><p>Text &lt;x&gt;.</p>{list}{code}"));
    }
}
