//! Are the shaders valid, in step with the engine, and one to one with the passes? By naga alone: no device needed.

use std::collections::BTreeSet;
use std::path::Path;

use calotype::engine::gpu::pipelines::{Binding, COMMON, Row, TABLE, WORKGROUP};
use calotype::plan::Pass;
use wgpu::naga;

/// Parses and validates a whole shader.
fn parse(name: &str, text: &str) -> Result<naga::Module, String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|e| format!("{name}: {}", e.emit_to_string(text)))?;
    naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty())
        .validate(&module)
        .map_err(|e| format!("{name}: {}", e.emit_to_string(text)))?;
    Ok(module)
}

/// Everything that one shader must be, by its row of the pipeline table.
fn check(row: &Row, text: &str) -> Result<(), String> {
    let name = row.name;
    let module = parse(name, text)?;
    check_entry_point(name, &module)?;
    check_bindings(row, &module)?;
    check_uniform(row, &module)?;
    check_header(row, text, &module)
}

fn check_entry_point(name: &str, module: &naga::Module) -> Result<(), String> {
    let [entry] = module.entry_points.as_slice() else {
        return Err(format!("{name}: {} entry points", module.entry_points.len()));
    };
    if entry.name != name || entry.stage != naga::ShaderStage::Compute {
        return Err(format!("{name}: entry point {} for {:?}", entry.name, entry.stage));
    }
    let overrides: Vec<&str> = module.overrides.iter().filter_map(|(_, o)| o.name.as_deref()).collect();
    for side in ["WG_X", "WG_Y"] {
        if !overrides.contains(&side) {
            return Err(format!("{name}: no override {side}: workgroups are sized from pipelines.rs"));
        }
    }
    let Some([Some(_), Some(_), None]) = entry.workgroup_size_overrides else {
        return Err(format!("{name}: write @workgroup_size(WG_X, WG_Y)"));
    };
    Ok(())
}

fn check_bindings(row: &Row, module: &naga::Module) -> Result<(), String> {
    let mut found: Vec<(u32, u32, Binding)> = Vec::new();
    for (_, variable) in module.global_variables.iter() {
        let Some(at) = &variable.binding else { continue };
        let binding = match variable.space {
            naga::AddressSpace::Uniform => Binding::Uniform,
            naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE) => Binding::Write,
            naga::AddressSpace::Storage { .. } => Binding::Read,
            other => return Err(format!("{}: a binding in {other:?}", row.name)),
        };
        found.push((at.group, at.binding, binding));
    }
    found.sort_by_key(|(group, binding, _)| (*group, *binding));
    let want: Vec<(u32, u32, Binding)> = (0..).zip(row.bindings).map(|(i, binding)| (0, i, *binding)).collect();
    if found == want { Ok(()) } else { Err(format!("{}: binds {found:?}, pipelines.rs {want:?}", row.name)) }
}

fn check_uniform(row: &Row, module: &naga::Module) -> Result<(), String> {
    let name = row.name;
    let uniform = module.global_variables.iter().find(|(_, v)| v.space == naga::AddressSpace::Uniform);
    let Some((_, uniform)) = uniform else { return Err(format!("{name}: no uniform block")) };
    let naga::TypeInner::Struct { members, span } = &module.types[uniform.ty].inner else {
        return Err(format!("{name}: the uniform is no struct"));
    };
    for member in members {
        use naga::{ScalarKind as Kind, TypeInner as Inner, VectorSize as Size};
        let is_number =
            |scalar: &naga::Scalar| scalar.width == 4 && matches!(scalar.kind, Kind::Uint | Kind::Sint | Kind::Float);
        let is_allowed = match &module.types[member.ty].inner {
            Inner::Scalar(scalar) => is_number(scalar),
            Inner::Vector { size: Size::Bi | Size::Quad, scalar } => is_number(scalar),
            _ => false,
        };
        if !is_allowed {
            return Err(format!("{name}: member {:?}: only u32, i32, f32, vec2 and vec4 in uniforms", member.name));
        }
    }
    let found: Vec<(&str, usize)> =
        members.iter().map(|m| (m.name.as_deref().unwrap_or(""), m.offset as usize)).collect();
    if found != row.uniform_members {
        return Err(format!("{name}: members {found:?}, in Rust {:?}", row.uniform_members));
    }
    if *span as usize != row.uniform_bytes || !row.uniform_bytes.is_multiple_of(16) {
        return Err(format!("{name}: uniform of {span} bytes, in Rust {}", row.uniform_bytes));
    }
    Ok(())
}

/// The header block is the review checklist: purpose, mirror, every binding, the grid.
fn check_header(row: &Row, text: &str, module: &naga::Module) -> Result<(), String> {
    let name = row.name;
    let own = text.strip_prefix(COMMON).ok_or_else(|| format!("{name}: common.wgsl does not come first"))?;
    let header: Vec<&str> = own.lines().take_while(|line| line.starts_with("//")).collect();
    if !header.first().is_some_and(|line| line.starts_with(&format!("// {name}: "))) {
        return Err(format!("{name}: the first line says what it is"));
    }
    let storages =
        module.global_variables.iter().filter(|(_, v)| matches!(v.space, naga::AddressSpace::Storage { .. }));
    let names = storages.map(|(_, v)| v.name.as_deref().unwrap_or(""));
    for word in names.chain([&format!("mirror  engine::scalar::{name} ") as &str, "grid "]) {
        if !header.iter().any(|line| line.starts_with(&format!("// {word}"))) {
            return Err(format!("{name}: no header line for \"{word}\""));
        }
    }
    Ok(())
}

#[test]
fn every_shader_is_valid_and_in_step_with_its_row() {
    for row in &TABLE {
        check(row, &row.source()).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn shaders_pipelines_and_passes_are_one_to_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let files: BTreeSet<String> = std::fs::read_dir(&folder)
        .expect("the folder of shaders")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a readable name"))
        .collect();
    let mut want: BTreeSet<String> = Pass::ALL.iter().map(|name| format!("{name}.wgsl")).collect();
    want.insert(String::from("common.wgsl"));
    assert_eq!(files, want, "one shader a pass, and common.wgsl");
    assert_eq!(TABLE.map(|row| row.name), Pass::ALL, "pipelines.rs lists the passes in their order");
    for row in &TABLE {
        let file = folder.join(row.name).with_extension("wgsl");
        assert_eq!(std::fs::read_to_string(file).expect("a shader"), row.text, "{}: another file's text", row.name);
    }
}

#[test]
fn workgroups_fit_every_adapter() {
    let invocations: u32 = WORKGROUP.iter().product();
    assert!(invocations <= wgpu::Limits::downlevel_defaults().max_compute_invocations_per_workgroup);
    assert!(invocations <= 256);
}

#[test]
fn common_has_functions_only() {
    let module = parse("common", COMMON).expect("valid on its own");
    assert_eq!(module.entry_points.len(), 0, "entry points");
    assert_eq!(module.global_variables.len(), 0, "bindings");
    assert_eq!(module.overrides.len(), 0, "overrides");
    assert!(module.functions.len() >= 5);
}

#[test]
fn every_mirror_is_a_scalar_function() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/scalar");
    let text: String = std::fs::read_dir(&folder)
        .expect("the oracle's folder")
        .map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("a source file"))
        .collect();
    for name in Pass::ALL {
        assert!(text.contains(&format!("pub fn {name}(")), "engine::scalar::{name} is missing");
    }
}

/// What the checks above are for: each of these must be caught, by the check that is meant to.
#[test]
fn a_shader_out_of_step_is_caught() {
    let row = TABLE.iter().find(|row| row.name == "resize_h").expect("resize_h");
    let text = row.source();
    for (from, to, caught) in [
        ("linear: u32,", "", "accessor"),
        ("    table_first: u32,\n    linear: u32,\n", "    linear: u32,\n    table_first: u32,\n", "members"),
        ("_pad0: u32, _pad1: u32,", "", "members"),
        ("_pad0: u32, _pad1: u32,", "_pad0: vec3<u32>,", "only u32"),
        ("@binding(2) var<storage, read> tables", "@binding(4) var<storage, read> tables", "binds"),
        ("var<storage, read> tables", "var<storage, read_write> tables", "binds"),
        ("fn resize_h(", "fn resize(", "entry point"),
        ("@workgroup_size(WG_X, WG_Y)", "@workgroup_size(16, 16)", "@workgroup_size"),
        ("// mirror  engine::scalar::resize_h ", "// mirror  engine::scalar::resize_v ", "no header line"),
        ("// tables ", "// taps ", "no header line"),
        ("acc += ", "acc = ", ""),
    ] {
        assert!(text.contains(from), "{from:?} is no longer there to be broken");
        let broken = text.replacen(from, to, 1);
        match check(row, &broken) {
            Ok(()) => assert_eq!(caught, "", "{from:?} → {to:?} passed"),
            // Arithmetic is the differential tests' business, not this one's.
            Err(e) => assert!(!caught.is_empty() && e.contains(caught), "{from:?} → {to:?}: {e}"),
        }
    }
}
