//! The document of `req=set`: a set, or a picture on its own, with sizes and named crops (protocol.md 6).
//!
//! The shape is ours, as near to the original's as its clients show: `set.item[]` with `i.n`, `dx` and `dy`, `s.n` for a
//! swatch, and `set.relation[].userdata`. The original's schema is not public.

use super::properties::{self, Text, encoded, for_xml, quoted, xml_mime};
use super::upgrades::Finder;
use super::words::crop_words;
use super::{Service, blocking};
use crate::catalog::{Catalog, SmartCrop};
use crate::error::Result;
use crate::pixel::Size;
use crate::request::{Encoding, Form, MediaSet, Req, SetPart, Target};

/// One element: attributes in order, then children.
#[derive(Debug, Default)]
struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Self>,
}

impl Element {
    fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.attributes.push((name, value.to_string()));
        self
    }

    fn xml(&self, encoding: Encoding) -> String {
        let attributes: String =
            self.attributes.iter().map(|(name, value)| format!(" {name}=\"{}\"", for_xml(value, encoding))).collect();
        let children: String = self.children.iter().map(|child| child.xml(encoding)).collect();
        let name = self.name;
        if children.is_empty() {
            format!("<{name}{attributes}/>")
        } else {
            format!("<{name}{attributes}>{children}</{name}>")
        }
    }

    /// Its value: attributes are strings; children that there can be several of are lists.
    fn json(&self) -> String {
        let mut fields: Vec<String> =
            self.attributes.iter().map(|(name, value)| format!("{}:{}", quoted(name), quoted(value))).collect();
        for list in ["item", "relation"] {
            let of_name = self.children.iter().filter(|child| child.name == list);
            let values: Vec<String> = of_name.map(Self::json).collect();
            if !values.is_empty() {
                fields.push(format!("{}:[{}]", quoted(list), values.join(",")));
            }
        }
        let alone = self.children.iter().filter(|child| !matches!(child.name, "item" | "relation"));
        fields.extend(alone.map(|child| format!("{}:{}", quoted(child.name), child.json())));
        format!("{{{}}}", fields.join(","))
    }
}

impl Service {
    /// The document of a request's set.
    ///
    /// # Errors
    /// `NotFound`: it names a picture that is not there. `Command`: its set is none.
    pub(super) async fn set(&self, target: &Target<'_>, req: &Req, inline: Option<&MediaSet>) -> Result<Text> {
        let catalog = self.catalog();
        let record = target.object.record.map(|(_, record)| record);
        let own = record.and_then(|record| record.image_set.as_deref()).filter(|set| !set.is_empty());
        let set = match inline {
            Some(set) => Some(set.clone()),
            None => own.map(MediaSet::read).transpose()?,
        };
        let mut root = Element::new("set").with("pv", "1.0");
        match &set {
            Some(set) => {
                let of_record = record.and_then(|record| record.asset_type.as_deref()).filter(|_| inline.is_none());
                root = root.with("type", of_record.unwrap_or(set.kind.word())).with("n", target.id());
                let mut finders = Vec::new();
                self.each_object(&catalog, target, set, &mut finders);
                let mut sizes = blocking(move || Ok(sizes(&finders))).await?.into_iter();
                root.children = items(set, &mut sizes);
            }
            None => {
                root = root.with("type", "img").with("n", target.id());
                let find = self.finder(target);
                let size = blocking(move || Ok(find()?.header.size)).await?;
                root.children.push(picture(&target.id(), Some(size)));
            }
        }
        root.children.extend(relations(target));
        Ok(match req.form {
            Form::Json => {
                let handler = if req.handler.is_empty() { "s7jsonResponse" } else { &req.handler };
                properties::call(handler, &format!("\"set\":{}", root.json()), &req.id)
            }
            Form::Xml(encoding) => in_xml(&root, encoding),
            Form::Text | Form::Javascript => in_xml(&root, Encoding::Utf8),
        })
    }

    /// How to find what is shown of each item, in the order of [`items`]; `None`: no object of ours.
    fn each_object(&self, catalog: &Catalog, target: &Target<'_>, set: &MediaSet, out: &mut Vec<Option<Finder>>) {
        for item in &set.items {
            match item.first() {
                Some(SetPart::Set(nested)) => self.each_object(catalog, target, nested, out),
                Some(SetPart::Text(text)) => {
                    let object = target.for_object(catalog, text);
                    out.push(object.ok().map(|object| self.finder(&object)));
                }
                None => {}
            }
        }
    }
}

fn in_xml(root: &Element, encoding: Encoding) -> Text {
    let text = properties::declaration(encoding) + &root.xml(encoding) + "\n";
    Text { mime: xml_mime(encoding), body: encoded(&text, encoding) }
}

/// Sizes of what is there.
fn sizes(finders: &[Option<Finder>]) -> Vec<Option<Size>> {
    finders.iter().map(|find| find.as_ref().and_then(|find| find().ok()).map(|found| found.header.size)).collect()
}

fn items(set: &MediaSet, sizes: &mut impl Iterator<Item = Option<Size>>) -> Vec<Element> {
    set.items.iter().map(|parts| item(parts, sizes)).collect()
}

/// What is shown, then a swatch, then a label.
fn item(parts: &[SetPart], sizes: &mut impl Iterator<Item = Option<Size>>) -> Element {
    let mut element = match parts.first() {
        Some(SetPart::Set(nested)) => {
            let inner = Element::new("set").with("type", nested.kind.word());
            let inner = Element { children: items(nested, sizes), ..inner };
            Element { children: vec![inner], ..Element::new("item") }
        }
        Some(SetPart::Text(text)) => picture(text, sizes.next().flatten()),
        None => Element::new("item"),
    };
    let mut rest = parts.iter().skip(1);
    if let Some(SetPart::Text(swatch)) = rest.next() {
        element.children.push(Element::new("s").with("n", swatch));
    }
    if let Some(SetPart::Text(label)) = rest.next() {
        element = element.with("label", label);
    }
    element
}

fn picture(object: &str, size: Option<Size>) -> Element {
    let mut element = Element::new("item");
    if let Some(Size { w, h }) = size {
        element = element.with("dx", w).with("dy", h);
    }
    element.children.push(Element::new("i").with("n", object));
    element
}

/// The named crops of the object's record.
fn relations(target: &Target<'_>) -> Vec<Element> {
    let crops = target.object.record.map(|(_, record)| &record.crops).into_iter().flatten();
    let relation = |(name, crop): (&String, &SmartCrop)| {
        let mut userdata = Element::new("userdata");
        userdata.attributes = crop_words(name, crop).into();
        Element { children: vec![userdata], ..Element::new("relation").with("n", format!("{}:{name}", target.id())) }
    };
    crops.map(relation).collect()
}
