//! The contents as one JSON object.

use std::io::{self, Write};

use convoy_engine::checkpoint::{CheckpointContents, CheckpointReader, StoredType};
use convoy_engine::schema::{Layout, LayoutKind};
use serde_json::{Value, json};

use super::layout_text::number_name;

/// Writes the contents for programs. Types are named where they are used. A layout is the name of a number or
/// another plain type, or an object: `{"array": .., "count": ..}`, `{"struct": [..], "size": ..}` or
/// `{"enum": [..], "tag": ..}`.
pub(super) fn write_json(
    output: &mut impl Write,
    reader: &CheckpointReader,
    contents: &CheckpointContents,
) -> io::Result<()> {
    let name = |of: usize| contents.types[of].name.as_str();
    let types = contents.types.iter().map(|each| of_type(each, contents));
    let events = contents.events.iter().map(|log| {
        let (first, records, bytes) = (log.first, log.records, log.bytes);
        json!({ "name": name(log.of), "first": first, "records": records, "bytes": bytes })
    });
    let resources = contents
        .resources
        .iter()
        .map(|each| json!({ "name": name(each.of), "is_set": each.is_set, "bytes": each.bytes }));
    let attachments = reader.attachments();
    let attachments =
        attachments.map(|(name, bytes)| json!({ "name": name, "bytes": bytes.len() }));
    let lists = contents
        .lists
        .iter()
        .map(|each| json!({ "name": name(each.of), "blocks": each.blocks, "bytes": each.bytes }));
    let head = json!({
        "commit": reader.commit(),
        "tick": reader.tick(),
        "damaged_headers": reader.damaged_headers(),
        "file_bytes": contents.file_bytes,
        "needed_bytes": contents.needed_bytes,
        "blocks": contents.blocks,
        "block_bytes": contents.block_bytes,
        "entities": contents.entities,
        "slots": contents.slots,
        "chunk_bytes_max": contents.chunk_bytes_max,
        "chunk_rows_max": contents.chunk_rows_max,
        "types": types.collect::<Vec<Value>>(),
        "events": events.collect::<Vec<Value>>(),
        "resources": resources.collect::<Vec<Value>>(),
        "lists": lists.collect::<Vec<Value>>(),
        "attachments": attachments.collect::<Vec<Value>>(),
        "texts": { "blocks": contents.texts.blocks, "bytes": contents.texts.bytes },
    });
    // A file may have many tables of long names, so these are written one by one.
    let head = head.to_string();
    let head = head.strip_suffix('}').expect("an object ends so");
    write!(output, "{head},\"tables\":[")?;
    for (number, table) in contents.tables.iter().enumerate() {
        let names: Vec<&str> = table.components.iter().map(|&of| name(of)).collect();
        let table = json!({ "rows": table.rows, "bytes": table.bytes, "components": names });
        write!(output, "{}{table}", if number > 0 { "," } else { "" })?;
    }
    writeln!(output, "]}}")
}

fn of_type(each: &StoredType, contents: &CheckpointContents) -> Value {
    json!({
        "name": each.name,
        "is_name_chosen": each.is_name_chosen,
        "kind": each.kind.to_string(),
        "version": each.version,
        "size": each.size,
        "align": each.align,
        "list": each.list.map(|list| json!({ "size": list.size, "align": list.align })),
        "toggle_of": each.toggle_of.map(|of| contents.types[of].name.as_str()),
        "layout": each.layout.map(of_layout),
    })
}

fn of_layout(layout: &Layout) -> Value {
    match layout.kind() {
        LayoutKind::Number(kind) => number_name(kind).into(),
        LayoutKind::Bool => "bool".into(),
        LayoutKind::Char => "char".into(),
        LayoutKind::Entity => "entity".into(),
        LayoutKind::Text => "text".into(),
        LayoutKind::Array { element, count } => {
            json!({ "array": of_layout(element), "count": count })
        }
        LayoutKind::Struct(fields) => {
            let fields = fields.iter().map(|field| {
                let layout = of_layout(field.layout);
                json!({ "name": field.name, "offset": field.offset, "layout": layout })
            });
            json!({ "struct": fields.collect::<Vec<Value>>(), "size": layout.size() })
        }
        LayoutKind::Enum { tag, variants } => {
            let variants = variants.iter().map(|variant| {
                let value = variant.value;
                // Numbers of JSON have 64 bits here.
                let short = i64::try_from(value).map(Value::from);
                let short = short.or_else(|_| u64::try_from(value).map(Value::from));
                let value = short.unwrap_or_else(|_| value.to_string().into());
                json!({ "name": variant.name, "value": value })
            });
            json!({ "enum": variants.collect::<Vec<Value>>(), "tag": number_name(tag) })
        }
        // A kind of a later engine.
        _ => Value::Null,
    }
}
