"""Statements (relevés): what a payer used in a closed period, in words, on a page, on paper and by mail."""
