//! Rule sets: XML to `[[company.*.rule]]`.

use roxmltree::{Document, Node, ParsingOptions};
use toml::{Table, Value};

use super::attributes::{image_mode, integers, list, number, switch};
use super::{Import, check};
use crate::limits;

/// Fills `[[company.*.rule]]`. A rule that cannot be taken whole is left out whole: half a rule would do something else.
pub(super) fn rules(import: &mut Import<'_>, file: &str, text: &str, root_id: &str, table: &mut Table) {
    // A document type without entities of its own is harmless; the parser bounds those that have some.
    let options =
        ParsingOptions { allow_dtd: true, nodes_limit: limits::IMPORT_XML_NODES_MAX, ..ParsingOptions::default() };
    let document = match Document::parse_with_options(text, options) {
        Ok(document) => document,
        Err(cause) => return import.left_out(file, "rule set", cause),
    };
    let root = document.root_element();
    if !root.has_tag_name("ruleset") {
        return import.left_out(file, root.tag_name().name(), "expected <ruleset>");
    }
    let mut rules = Vec::new();
    for node in root.children().filter(Node::is_element) {
        let place = format!("{file}:{}", document.text_pos_at(node.range().start).row);
        let what = node.attribute("Name").unwrap_or("rule");
        if !node.has_tag_name("rule") {
            import.left_out(&place, node.tag_name().name(), "expected <rule>");
            continue;
        }
        let checked = rule(node).and_then(|rule| {
            let alone = Table::from_iter([(String::from("rule"), Value::Array(vec![Value::Table(rule.clone())]))]);
            check(root_id, alone).map(|()| rule).map_err(|error| error.to_string())
        });
        match checked {
            Ok(_) if rules.len() == limits::RULES_MAX => {
                import.left_out(&place, what, format!("more than {} rules", limits::RULES_MAX));
            }
            Ok(rule) => {
                rules.push(Value::Table(rule));
                import.taken(&place, what, format!("company.{root_id}.rule[{}]", rules.len()));
            }
            Err(reason) => import.left_out(&place, what, reason),
        }
    }
    table.insert(String::from("rule"), Value::Array(rules));
}

fn rule(node: Node<'_, '_>) -> Result<Table, String> {
    let mut rule = Table::new();
    let mut put = |key: &str, value: Value| drop(rule.insert(key.to_owned(), value));
    for attribute in node.attributes() {
        let (name, value) = (attribute.name(), attribute.value());
        let (key, converted) = match name {
            "Name" => ("name", Some(Value::from(value))),
            "OnMatch" => ("on_match", Some(Value::from(value))),
            "Replace" => ("replace", Some(Value::from(value))),
            "RequestType" => ("request_type", Some(list(value))),
            "DefaultImageMode" => ("default_image_mode", image_mode(value)),
            "ErrorImage" => ("error_image", Some(Value::from(value))),
            "Expiration" => ("expiration_hours", number(value)),
            "MaxPix" => ("max_pix", integers(value)),
            "RequestLock" => ("request_lock", switch(value)),
            "RequestObfuscation" => ("request_obfuscation", switch(value)),
            _ => return Err(format!("calotype has nothing for {name}=\"{value}\"")),
        };
        put(key, converted.ok_or_else(|| format!("{name}=\"{value}\" is none of its values"))?);
    }
    let mut headers = Vec::new();
    for child in node.children().filter(Node::is_element) {
        let text: String = child.children().filter_map(|node| node.text()).collect();
        let text = text.trim();
        match child.tag_name().name() {
            "expression" => put("expression", Value::from(text)),
            "substitution" => put("substitution", Value::from(text)),
            "addressfilter" => put("address_filter", list(text)),
            "header" => {
                let name = child.attribute("Name").ok_or("a header without Name")?;
                let mut header = Table::new();
                header.insert(String::from("name"), Value::from(name));
                header.insert(String::from("value"), Value::from(text));
                if let Some(action) = child.attribute("Action") {
                    header.insert(String::from("action"), Value::from(action));
                }
                headers.push(Value::Table(header));
            }
            other => return Err(format!("calotype has nothing for <{other}>")),
        }
    }
    if !headers.is_empty() {
        put("header", Value::Array(headers));
    }
    Ok(rule)
}
