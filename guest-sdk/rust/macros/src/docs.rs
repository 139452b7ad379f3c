//! Doc comments, which callers see as summaries.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The first paragraph of a doc comment, on one line; empty if there is none.
pub fn summary(attributes: &[Attribute]) -> String {
    let text: Vec<String> = attributes.iter().filter_map(line).collect();
    let text = text.join("\n");
    let lines = text.lines().map(str::trim);
    let paragraph: Vec<_> =
        lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ")
}

fn line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(doc) = &attribute.meta else { return None };
    let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &doc.value else { return None };
    doc.path.is_ident("doc").then(|| text.value())
}
