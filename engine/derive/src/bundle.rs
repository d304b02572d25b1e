//! `#[derive(Bundle)]`: the fields of a struct as one tuple, in which fields that are tuples
//! themselves are taken apart.

#![allow(unsafe_code, reason = "writes the implementation of an unsafe trait")]

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{Data, DeriveInput, Error, Ident, Index, Result, Type};

/// The most members of the tuple.
const MEMBERS_MAX: usize = 16;

/// One member of the tuple.
struct Member {
    /// Its place in the struct, such as `pair.0`.
    place: TokenStream,
    /// The variable that stands for it while the struct is put together.
    name: Ident,
    of: Type,
}

pub(crate) fn implement(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "only a struct can derive `Bundle`"));
    };
    let mut members = Vec::new();
    let fields = data.fields.iter().enumerate().map(|(number, field)| {
        let name = match &field.ident {
            Some(ident) => ident.to_token_stream(),
            None => Index::from(number).to_token_stream(),
        };
        let value = take_apart(&field.ty, name.clone(), &mut members);
        quote!(#name: #value)
    });
    let fields: Vec<TokenStream> = fields.collect();
    check(input, &members)?;
    let types: Vec<&Type> = members.iter().map(|member| &member.of).collect();
    let places: Vec<&TokenStream> = members.iter().map(|member| &member.place).collect();
    let names = members.iter().map(|member| &member.name);
    let mut generics = input.generics.clone();
    if generics.type_params().next().is_some() {
        let condition = generics.make_where_clause();
        for of in &types {
            condition.predicates.push(syn::parse_quote!(#of: ::convoy_engine::bundle::BundlePart));
        }
    }
    let (parameters, arguments, condition) = generics.split_for_impl();
    let name = &input.ident;
    Ok(quote! {
        #[automatically_derived]
        #[allow(clippy::unused_unit, reason = "a bundle may have no members")]
        // SAFETY: the fields are those of the struct.
        unsafe impl #parameters ::convoy_engine::Bundle for #name #arguments #condition {
            type Fields = (#(#types,)*);

            #[inline(always)]
            fn fields(
                &self,
            ) -> <Self::Fields as ::convoy_engine::bundle::BundleFields>::Refs<'_> {
                (#(&self.#places,)*)
            }

            #[inline(always)]
            fn into_fields(self) -> Self::Fields {
                (#(self.#places,)*)
            }

            #[inline(always)]
            fn from_fields((#(#names,)*): Self::Fields) -> Self {
                Self { #(#fields,)* }
            }
        }

        #[automatically_derived]
        impl #parameters ::convoy_engine::bundle::BundlePart for #name #arguments #condition {
            type Kind = ::convoy_engine::bundle::IsBundle;
        }
    })
}

/// Adds the members that a field of type `of` has. Returns the expression that puts it together.
fn take_apart(of: &Type, place: TokenStream, members: &mut Vec<Member>) -> TokenStream {
    match of {
        Type::Group(group) => take_apart(&group.elem, place, members),
        Type::Paren(paren) => take_apart(&paren.elem, place, members),
        Type::Tuple(tuple) => {
            let parts = tuple.elems.iter().enumerate().map(|(number, of)| {
                let number = Index::from(number);
                take_apart(of, quote!(#place.#number), members)
            });
            let parts: Vec<TokenStream> = parts.collect();
            quote!((#(#parts,)*))
        }
        _ => {
            let name = format_ident!("member_{}", members.len());
            members.push(Member { place, name: name.clone(), of: of.clone() });
            name.into_token_stream()
        }
    }
}

fn check(input: &DeriveInput, members: &[Member]) -> Result<()> {
    if members.len() > MEMBERS_MAX {
        let message = format!("a bundle has at most sixteen components, not {}", members.len());
        return Err(Error::new_spanned(&input.ident, message));
    }
    for (number, Member { of, .. }) in members.iter().enumerate() {
        let text = of.to_token_stream().to_string();
        let same = |other: &Member| other.of.to_token_stream().to_string() == text;
        if members[..number].iter().any(same) {
            let message = format!("an entity has one `{text}`, and the bundle has two");
            return Err(Error::new_spanned(of, message));
        }
    }
    Ok(())
}
