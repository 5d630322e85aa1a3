"""Sentences for readers who know neither statistics nor the product: verdict, places, glossary."""
