"""Parse trees as such: walking them, and whether two mean the same.

Trees of two texts differ in the places in the text, which nearly each node has. So both are read again with message
types from which these fields were taken: what the types do not know is dropped, and the rest is compared, all of it in
the protobuf library.
"""

from collections.abc import Iterator
from typing import Any

import postgast
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# Places in the text; the last four are those of the brackets of a list.
_PLACES = frozenset(
    {
        *("location", "stmt_location", "stmt_len"),
        *("rexpr_list_start", "rexpr_list_end", "list_start", "list_end"),
    }
)


def parts(tree: Any) -> Iterator[Any]:
    """Yield a message of a tree and all messages in it."""
    waiting = [tree]
    while waiting:
        message = waiting.pop()
        yield message
        for descriptor, value in message.ListFields():
            if descriptor.message_type is not None:
                waiting.extend([value] if hasattr(value, "ListFields") else value)


def own_parts(select: Any) -> Iterator[Any]:
    """Yield a part of a tree and the parts in it, without those of the queries inside."""
    waiting = [select]
    while waiting:
        message = waiting.pop()
        yield message
        for descriptor, value in message.ListFields():
            if descriptor.message_type is not None:
                inner = [value] if hasattr(value, "ListFields") else value
                waiting.extend(part for part in inner if part.DESCRIPTOR.name != "SelectStmt")


def from_items(items: Any) -> Iterator[Any]:
    """Yield what a FROM reads: its items, and those that joins are made of."""
    for item in items:
        if item.WhichOneof("node") == "join_expr":
            yield from from_items([item.join_expr.larg, item.join_expr.rarg])
        else:
            yield item


def tables(items: Any) -> Iterator[tuple[str, str]]:
    """Yield the tables of a FROM, each after the name that it has there."""
    for item in from_items(items):
        if item.WhichOneof("node") == "range_var":
            yield str(item.range_var.alias.aliasname or item.range_var.relname), str(item.range_var.relname)


def same(one: Any, other: Any) -> bool:
    """Whether two trees differ in nothing but places in the text."""
    return bool(_without_places(one) == _without_places(other))


def _without_places(tree: Any) -> Any:
    placeless = _Placeless.FromString(tree.SerializeToString())
    placeless.DiscardUnknownFields()
    return placeless


def _placeless_type() -> Any:
    file = descriptor_pb2.FileDescriptorProto()
    postgast.pg_query_pb2.DESCRIPTOR.CopyToProto(file)
    for message in file.message_type:
        for field in [field for field in message.field if field.name in _PLACES]:
            message.field.remove(field)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("pg_query.ParseResult"))


_Placeless = _placeless_type()
