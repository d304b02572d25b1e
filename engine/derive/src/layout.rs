//! `#[derive(TypeLayout)]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DataEnum, DeriveInput, Error, Fields, Ident, Result};

pub(crate) fn implement(input: &DeriveInput) -> Result<TokenStream> {
    let kind = match &input.data {
        Data::Struct(data) => fields(&data.fields),
        Data::Enum(data) => variants(input, data)?,
        Data::Union(_) => {
            return Err(Error::new_spanned(
                &input.ident,
                "the bytes of a union have no one layout",
            ));
        }
    };
    let (name, text) = (&input.ident, unraw(&input.ident));
    let mut generics = input.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(syn::parse_quote!(::convoy_engine::schema::TypeLayout));
    }
    let (parameters, arguments, condition) = generics.split_for_impl();
    Ok(quote! {
        impl #parameters ::convoy_engine::schema::TypeLayout for #name #arguments #condition {
            const LAYOUT: ::convoy_engine::schema::Layout = ::convoy_engine::schema::Layout::of::<Self>(#text, #kind);
        }
    })
}

fn fields(fields: &Fields) -> TokenStream {
    let fields = fields.iter().enumerate().map(|(number, field)| {
        let member = match &field.ident {
            Some(ident) => quote!(#ident),
            None => {
                let index = syn::Index::from(number);
                quote!(#index)
            }
        };
        let name = field.ident.as_ref().map_or_else(|| number.to_string(), unraw);
        let of = &field.ty;
        // The error about a field without a layout points to its type.
        let layout =
            quote_spanned!(of.span()=> <#of as ::convoy_engine::schema::TypeLayout>::LAYOUT);
        quote! {
            ::convoy_engine::schema::FieldLayout {
                name: #name,
                offset: ::core::mem::offset_of!(Self, #member),
                layout: &#layout,
            }
        }
    });
    quote!(::convoy_engine::schema::LayoutKind::Struct(&[#(#fields),*]))
}

fn variants(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let tag = representation(input)?;
    let variants = data.variants.iter().map(|variant| {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(variant, "a variant of a component has no fields"));
        }
        let (ident, name) = (&variant.ident, unraw(&variant.ident));
        Ok(quote! {
            ::convoy_engine::schema::VariantLayout { name: #name, value: Self::#ident as i128 }
        })
    });
    let variants = variants.collect::<Result<Vec<_>>>()?;
    Ok(quote! {
        ::convoy_engine::schema::LayoutKind::Enum {
            tag: ::convoy_engine::schema::NumberKind::#tag,
            variants: &[#(#variants),*],
        }
    })
}

/// The kind of number that stands for the variants.
fn representation(input: &DeriveInput) -> Result<Ident> {
    let mut found = None;
    for attribute in input.attrs.iter().filter(|each| each.path().is_ident("repr")) {
        attribute.parse_nested_meta(|meta| {
            let name = meta.path.get_ident().map(Ident::to_string).unwrap_or_default();
            if meta.input.peek(syn::token::Paren) {
                let content;
                syn::parenthesized!(content in meta.input);
                content.parse::<TokenStream>()?;
            }
            found = found.take().or(number_kind(&name));
            Ok(())
        })?;
    }
    let kind = found.ok_or_else(|| {
        let message = "an enum has a layout if its representation is a number: `#[repr(u8)]`";
        Error::new_spanned(&input.ident, message)
    })?;
    Ok(Ident::new(kind, Span::call_site()))
}

fn number_kind(representation: &str) -> Option<&'static str> {
    Some(match representation {
        "u8" => "U8",
        "u16" => "U16",
        "u32" => "U32",
        "u64" => "U64",
        "u128" => "U128",
        "i8" => "I8",
        "i16" => "I16",
        "i32" => "I32",
        "i64" => "I64",
        "i128" => "I128",
        // As wide as an address on the machine that compiles the program.
        "usize" => "USIZE",
        "isize" => "ISIZE",
        _ => return None,
    })
}

/// The name of a field or variant, without the mark of a keyword that is used as a name.
fn unraw(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map_or(name.clone(), str::to_owned)
}
