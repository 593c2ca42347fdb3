"""What the admin pages of all apps share."""

from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.widgets import AdminSplitDateTime
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


admin.site.site_header = admin.site.site_title = "Triptych"


class ReadOnlyAdmin(ModelAdmin):
    """Shows rows, and lets nobody add, change or delete them: the apps do that, by their own rules."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody may."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody may."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody may."""
        return False


class IdSearch(ModelAdmin):
    """Finds a row by its ids, compared as PostgreSQL keeps them: Django's own search would cast each row's to text."""

    # Tried one after the other.
    id_fields: ClassVar[tuple[str, ...]]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the rows, and that none is in there twice."""
        try:
            wanted = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        found = queryset.none()
        for field in self.id_fields:
            found = queryset.filter(**{field: wanted})
            if found.exists():
                break
        return found, False


class MomentWidget(AdminSplitDateTime):
    """A field for the day and one for the time, each with a name: Django's own have a heading beside them, no label."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        for widget, name in zip(self.widgets, (_("Day"), _("Time")), strict=True):
            widget.attrs["aria-label"] = name
