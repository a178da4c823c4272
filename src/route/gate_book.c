// The patterns of all routes, compiled once for a snapshot; and the built-in ones,
// which tell a refusal by how it begins.
#include <stdlib.h>

#include "gate_room.h"

// One a language. Conservative: an apology or an "I cannot" is a refusal only where
// it goes on to say that it is help that is refused. "I can't help but notice" and
// "Unfortunately, the file cannot be opened" are none.
#define GAP "[^.,;!?\\n]{0,60}?"
static const char *const builtin[] = {
    // English
    "(?:(?:i['’]?m|i am|we are|we['’]re) (?:so |very |really |truly |terribly )?(?:sorry|afraid)\\b"
    "|sorry\\b|(?:my )?apologies\\b|i apologi[sz]e\\b|unfortunately\\b"
    "|as an? (?:ai|artificial|(?:large )?language model)\\b" GAP "|thank you for\\b" GAP ")?"
    "[\\s,;:.!*_–—-]*(?:but |and |however,? |that )*"
    "(?:i|we)(?:"
    "(?: can['’]?t| cannot| can not| won['’]?t| will not| could not| couldn['’]t"
    "|(?:['’]m| am| are|['’]re) (?:not able|unable|not allowed|not permitted) to"
    "|(?:['’]m| am) not going to)"
    " (?:help(?! but\\b| (?:feel|think|notic|wonder|lov|admir))|assist\\b|comply\\b|fulfil"
    "|engage in\\b|participate in\\b|do (?:that|this)\\b"
    "|(?:provide|create|generate|write|produce|share|discuss|give|offer|support)"
    " (?:you )?(?:with )?(?:that|this|those|these|such|instructions|explicit|harmful"
    "|any (?:information|instructions|content|guidance|advice|help|assistance))\\b)"
    "| (?:must|have to|need to|will have to) (?:\\w+ly )?(?:decline|refuse)\\b"
    "| (?:\\w+ly )?(?:decline|refuse) to\\b)",
    // German
    "(?:(?:es )?tut mir (?:sehr |wirklich )?leid|entschuldigung|leider"
    "|ich bedaure)?[\\s,;.!–-]*(?:aber )?"
    "(?:da|dabei|damit|hierbei|bei (?:dies|solch)\\w+ \\w+)? ?"
    "(?:ich (?:kann|darf|werde)|(?:kann|darf|werde) ich)\\b" GAP "\\b(?:nicht|keine)\\b" GAP
    "\\b(?:(?:weiter)?helfen|behilflich|unterstützen|nachkommen|erfüllen|hilfe|unterstützung)\\b",
    // French
    "(?:(?:je suis |je vous présente mes )?(?:vraiment |sincèrement )?(?:désolée?|excuses)"
    "|je regrette)?"
    "[\\s,;.!–-]*(?:mais )?je ne (?:peux|puis|pourrai|suis)(?: malheureusement)? pas "
    "(?:en mesure |capable )?(?:de |d['’])?(?:vous |t['’]|te )?"
    "(?:aider|assister|répondre à cette demande|donner suite|satisfaire"
    "|fournir (?:ce|ces|cette|d['’]))",
    // Spanish
    "(?:lo siento|lo lamento|disculp[ae]|perdón"
    "|lamentablemente)?[\\s,;.!–-]*(?:mucho)?[\\s,;.!]*(?:pero )?"
    "no (?:puedo|podemos|me es posible) (?:ayudar|asistir|cumplir con|proporcionar (?:es[ae]"
    "|est[ae]|ese)|responder a es[ae]|atender)",
    // Portuguese
    "(?:desculpe|desculpa|sinto muito|lamento|peço desculpas?"
    "|infelizmente)?[\\s,;.!–-]*(?:mas )?(?:eu )?"
    "não (?:posso|consigo) (?:te |lhe |o )?(?:ajud|assistir|atender|cumprir|fornecer (?:ess|est))",
    // Italian
    "(?:mi dispiace|sono spiacente|spiacente|purtroppo)?[\\s,;.!–-]*(?:ma )?non posso "
    "(?:aiutar|assister|soddisfar|fornire quest|rispondere a quest)",
    // Dutch
    "(?:sorry|het spijt me|helaas)?[\\s,;.!–-]*(?:maar )?(?:daar |hier |dat )?"
    "(?:ik (?:kan|mag)|(?:kan|mag) ik)\\b" GAP "\\bniet\\b" GAP "\\b(?:helpen|assisteren)\\b",
    // Polish
    "(?:przykro mi|przepraszam|niestety)?[\\s,;.!–-]*(?:ale )?nie mogę (?:ci |tobie |w tym )*"
    "(?:pomóc|spełnić)",
    // Turkish
    "(?:üzgünüm|özür dilerim|maalesef)[\\s,;.!–-]*(?:ama )?" GAP
    "(?:yardımcı olamam|yardımcı olamıyorum|yardım edemem)",
    // Russian
    "(?:извините|простите|к сожалению|мне (?:очень )?жаль)?[\\s,;.!–-]*(?:но )?(?:я )?не могу "
    "(?:вам |тебе |с этим |в этом )*(?:помочь|выполнить (?:этот|эту|ваш)|ответить на этот)",
    // Arabic
    "(?:عذرًا|عذرا|آسف|أعتذر|أنا آسف)" GAP "لا (?:أستطيع|يمكنني) (?:مساعدتك|المساعدة|تقديم)",
    // Hindi
    "(?:क्षमा करें|मुझे खेद है|माफ़ करें)[\\s,;.!–-]*(?:लेकिन )?" GAP "(?:मदद|सहायता) नहीं कर सक",
    // Chinese
    "(?:很|非常)?(?:抱歉|遗憾|遺憾|对不起|對不起)?[，,。！!\\s]*(?:但|但是)?我(?:无法|無法|不能)"
    "(?:为您|為您|为你|向您)?(?:提供(?:帮助|協助|此类|这类|该|這類)|协助|協助|帮助(?:您|你)|幫助|"
    "满足(?:您|你|这)|回答这个|回答这类|回答這個)",
    // Japanese
    "(?:(?:大変)?申し訳(?:ござい|あり)ません|すみません|ごめんなさい)[^\\n]{0,60}?"
    "(?:お手伝い|お答え|お応え|対応|ご提供|応じること)[^。\\n]{0,10}?"
    "(?:できません|できない|できかねます|いたしかねます)",
    // Korean
    "(?:죄송합니다|죄송하지만|미안하지만|미안합니다)[^\\n]{0,60}?"
    "(?:도와\\s?드릴|도울|제공할|답변할|응할|답변해 드릴|제공해 드릴) 수 없",
};

static struct gate_pattern_list compile_builtin(void) {
    struct gate_pattern_list list = {base_calloc(FARTHING_COUNT(builtin), sizeof *list.items),
                                     FARTHING_COUNT(builtin)};
    for (size_t i = 0; i < list.count; i++) {
        struct error err;
        list.items[i] = pattern_compile(
            slice_of(builtin[i]), PATTERN_CASELESS | PATTERN_LASTING | PATTERN_AT_START, &err);
        if (list.items[i] == NULL)
            log_write(LOG_ERROR, "built-in refusal %zu: %s", i, err.text);
    }
    return list;
}

static struct gate_pattern_list compile_list(const struct config_route *route, const char *key,
                                             const struct config_slices *texts, unsigned flags,
                                             struct buffer *complaints) {
    struct gate_pattern_list list = {base_calloc(texts->count + 1, sizeof *list.items),
                                     texts->count};
    for (size_t i = 0; i < texts->count; i++) {
        struct error err;
        list.items[i] = pattern_compile(texts->items[i], flags | PATTERN_LASTING, &err);
        if (list.items[i] == NULL && complaints != NULL)
            buffer_printf(complaints, "%.*s: route \"%.*s\": gate: %s: the pattern \"%.*s\": %s\n",
                          SLICE_ARG(route->where), SLICE_ARG(route->name), key,
                          SLICE_ARG(texts->items[i]), err.text);
    }
    return list;
}

struct gate_book *gate_book_new(const struct config *config, struct buffer *complaints) {
    struct gate_book *book = base_calloc(1, sizeof *book);
    book->route_count = config->route_count;
    book->routes = base_calloc(config->route_count + 1, sizeof *book->routes);
    bool builtin_wanted = false;
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *r = &config->routes[i];
        struct gate_patterns *p = &book->routes[r->index];
        p->refusals =
            compile_list(r, "refusals", &r->gate.refusals, PATTERN_CASELESS, complaints);
        p->must_match = compile_list(r, "must_match", &r->gate.must_match, 0, complaints);
        p->must_not_match =
            compile_list(r, "must_not_match", &r->gate.must_not_match, 0, complaints);
        builtin_wanted |= (r->escalate_on & 1u << CONFIG_ESCALATE_REFUSAL) != 0;
    }
    if (builtin_wanted)
        book->builtin_refusals = compile_builtin();
    return book;
}

static void free_list(struct gate_pattern_list *list) {
    for (size_t i = 0; i < list->count; i++)
        pattern_free(list->items[i]);
    free(list->items);
}

void gate_book_free(struct gate_book *book) {
    if (book == NULL)
        return;
    for (size_t i = 0; i < book->route_count; i++) {
        free_list(&book->routes[i].refusals);
        free_list(&book->routes[i].must_match);
        free_list(&book->routes[i].must_not_match);
    }
    free_list(&book->builtin_refusals);
    free(book->routes);
    free(book);
}
